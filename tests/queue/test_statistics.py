"""Charts and totals add what is rolled up to what is not; refusals page backwards."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from mta.models import Statistic, Tally
from mta.queue.history import RefusalFilter, chart, refusals, rule_hits, totals
from tests.queue.test_search import make_refusal

pytestmark = pytest.mark.django_db


def test_totals_add_both_tables_and_know_every_kind():
    minute = datetime(2026, 1, 1, tzinfo=UTC)
    Statistic.objects.create(minute=minute, kind="accepted", count=5)
    Tally.objects.create(at=minute, kind="accepted", count=2)
    Tally.objects.create(at=minute, kind="accepted", count=1)
    assert totals()["accepted"] == 8
    assert totals()["bounced"] == 0


def test_a_chart_has_a_point_for_every_quarter_of_an_hour():
    now = timezone.now()
    Statistic.objects.create(minute=now - timedelta(hours=2), kind="delivered", count=5)
    Tally.objects.create(at=now, kind="delivered", count=2)
    Tally.objects.create(at=now - timedelta(days=2), kind="delivered", count=100)

    points = chart(now - timedelta(hours=24))

    assert len(points) in (96, 97)
    assert all(
        after.at - before.at == timedelta(minutes=15)
        for before, after in zip(points, points[1:], strict=False)
    )
    assert points[-1].counts["delivered"] == 2
    assert sum(point.counts["delivered"] for point in points) == 7
    assert points[0].counts["refused"] == 0


def test_refusals_page_backwards_and_narrow():
    made = [make_refusal() for _ in range(3)]
    other = make_refusal(rule="relay", recipient="x@foreign.test")

    first = refusals(limit=2)
    assert [row.id for row in first] == [other.id, made[2].id]
    assert [row.id for row in refusals(limit=9, before=first[-1].id)] == [made[1].id, made[0].id]
    assert refusals(9, wanted=RefusalFilter(rule="relay")) == [other]
    assert refusals(9, wanted=RefusalFilter(recipient="x@foreign.test")) == [other]


def test_hits_are_counted_by_stage_and_by_whether_they_were_enforced():
    now = timezone.now()
    for age, enforced in ((0, True), (0, False), (0, False), (30, True), (24 * 8, True)):
        make_refusal(rule="hops", stage="content", at=now - timedelta(hours=age), enforced=enforced)
    make_refusal(rule="hops", stage="mail")

    hits = rule_hits()

    of_content = hits["content", "hops"]
    assert (of_content.day, of_content.week) == (1, 2)
    assert (of_content.logged_day, of_content.logged_week) == (2, 2)
    assert hits["mail", "hops"].day == 1
    assert hits["rcpt", "hops"].week == 0
