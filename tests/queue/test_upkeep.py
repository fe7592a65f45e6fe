"""Tables and indexes fall back to the size of what they hold."""

import pytest
from django.db import connection

from mta.queue import upkeep

pytestmark = pytest.mark.django_db(transaction=True)


def index_octets() -> int:
    return {size.name: size.indexes for size in upkeep.sizes()}["mta_tally"]


def content_octets() -> int:
    return {size.name: size.table for size in upkeep.sizes()}["mta_content"]


def test_an_index_that_was_full_once_is_built_anew(monkeypatch):
    monkeypatch.setattr(upkeep, "SMALL_INDEX", 100_000)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mta_tally (at, kind, count)"
            " SELECT now(), 'x', 1 FROM generate_series(1, 30000)"
        )
        cursor.execute("DELETE FROM mta_tally WHERE id % 1000 <> 0")
        cursor.execute("VACUUM (ANALYZE) mta_tally")
    before = index_octets()
    assert upkeep.is_bloated()
    assert "mta_tally_pkey" in upkeep.tidy()
    assert index_octets() < before / 4
    assert not upkeep.is_bloated()
    assert upkeep.tidy() == []


def test_what_contents_took_goes_back_to_the_disk(monkeypatch):
    monkeypatch.setattr(upkeep, "SMALL_TABLE", 1_000_000)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mta_content (message_id, data)"
            " SELECT n, convert_to(repeat('x', 4000), 'UTF8') FROM generate_series(1, 1500) n"
        )
        # Two messages come after the burst and go after it.
        for condition in ("message_id <= 1498", "true"):
            cursor.execute(f"DELETE FROM mta_content WHERE {condition}")
            cursor.execute("VACUUM (ANALYZE) mta_content")
    assert content_octets() > 5_000_000
    assert upkeep.is_bloated()
    upkeep.tidy()
    assert content_octets() < 500_000
    assert not upkeep.is_bloated()
