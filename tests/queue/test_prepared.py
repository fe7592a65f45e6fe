"""Statements of the hot path are prepared, and not with one plan for ever."""

import pytest
from django.db import connection

from mta.queue import prepared

pytestmark = pytest.mark.django_db

STATEMENT = "SELECT %(value)s::int8 + 1"


def prepared_at():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prepare_time FROM pg_prepared_statements"
            " WHERE statement LIKE 'SELECT $1::int8 + 1'"
        )
        return [row[0] for row in cursor.fetchall()]


def test_a_statement_is_prepared_once():
    assert prepared.execute(STATEMENT, {"value": 1}) == [(2,)]
    first = prepared_at()
    assert prepared.execute(STATEMENT, {"value": 2}) == [(3,)]
    assert len(first) == 1
    assert prepared_at() == first


def test_it_is_prepared_anew_when_its_plan_is_old(monkeypatch):
    prepared.execute(STATEMENT, {"value": 1})
    first = prepared_at()
    monkeypatch.setattr(prepared, "KEEP_SECONDS", -1.0)
    assert prepared.execute(STATEMENT, {"value": 2}) == [(3,)]
    assert len(first) == 1
    assert len(prepared_at()) == 1
    assert prepared_at() != first
