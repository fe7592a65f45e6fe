"""What is forgotten, what is kept, and that counts survive being rolled up."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from mta.models import (
    Attempt,
    Content,
    Event,
    Heartbeat,
    Message,
    Recipient,
    Refusal,
    Settings,
    State,
    Statistic,
    Tally,
)
from mta.queue import retention
from mta.queue.history import totals
from mta.queue.retention import ContentSweep, roll_up, sweep
from tests.queue.rows import finish, make_message
from tests.queue.test_search import make_refusal

pytestmark = pytest.mark.django_db

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def fresh_sweep(monkeypatch):
    monkeypatch.setattr(retention, "_content_sweep", ContentSweep())


def soon() -> float:
    return time.monotonic() + 5


def test_roll_up_adds_per_minute_and_again_to_the_same_minute():
    minute = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
    for second, count in ((1, 2), (59, 3), (60, 4)):
        Tally.objects.create(at=minute + timedelta(seconds=second), kind="accepted", count=count)
    assert roll_up() == 3
    Tally.objects.create(at=minute, kind="accepted", count=10)
    assert roll_up() == 1
    assert roll_up() == 0

    counts = dict(Statistic.objects.values_list("minute", "count"))
    assert counts == {minute: 15, minute + timedelta(minutes=1): 4}
    assert not Tally.objects.exists()


def test_old_minutes_become_hours_and_no_count_is_lost():
    hour = datetime(2026, 1, 1, 12, tzinfo=UTC)
    old = timezone.now() - timedelta(days=9)
    hour = old.replace(minute=0, second=0, microsecond=0)
    for minute in range(5):
        Statistic.objects.create(minute=hour + timedelta(minutes=minute), kind="accepted", count=2)
    sweep(SETTINGS)
    assert Statistic.objects.get().minute == hour
    assert totals()["accepted"] == 10


def test_content_goes_when_the_message_is_finished_and_the_message_stays():
    done, live = make_message(), make_message()
    finish(done, timezone.now() - timedelta(seconds=1))

    assert sweep(SETTINGS)["content"] == 1

    assert list(Content.objects.values_list("message_id", flat=True)) == [live.id]
    assert Message.objects.count() == 2


def test_content_is_kept_as_long_as_the_setting_says():
    message = make_message()
    finish(message, timezone.now() - timedelta(hours=1))
    assert sweep(Settings(keep_content=timedelta(hours=2)))["content"] == 0
    assert sweep(Settings(keep_content=timedelta(minutes=30)))["content"] == 1


def test_content_and_history_are_kept_while_a_report_is_due():
    message = make_message()
    finish(message, timezone.now() - timedelta(days=100), State.FAILED)
    message.recipient_set.update(report="failed")

    counts = sweep(SETTINGS)

    assert (counts["content"], counts["messages"]) == (0, 0)
    assert Content.objects.exists()


def test_later_sweeps_find_what_finished_since():
    now = timezone.now()
    first, second = make_message(), make_message()
    content_sweep = ContentSweep()
    finish(first, now - timedelta(seconds=20))
    assert content_sweep.run(now - timedelta(seconds=10), soon()) == 1

    finish(second, now - timedelta(seconds=5))
    assert content_sweep.run(now, soon()) == 1
    assert not Content.objects.exists()


def test_what_a_later_sweep_passed_over_is_found_by_the_next_full_pass():
    clock = [1000.0]
    now = timezone.now()
    content_sweep = ContentSweep(clock=lambda: clock[0])
    assert content_sweep.run(now, soon()) == 0
    late = make_message()
    finish(late, now - timedelta(hours=1))

    assert content_sweep.run(now, soon()) == 0
    clock[0] += retention.FULL_PASS_SECONDS
    assert content_sweep.run(now, soon()) == 1


def test_content_without_a_message_is_no_use_to_anybody():
    Content.objects.create(message_id=99, data=b"x")
    assert sweep(SETTINGS)["content"] == 1


def test_work_is_cut_in_batches_until_all_is_done(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "CANDIDATES", 4)
    for _ in range(7):
        finish(make_message(), timezone.now() - timedelta(days=40))

    assert [sweep(SETTINGS)["messages"] for _ in range(2)] == [7, 0]
    assert not Content.objects.exists()


def test_nothing_is_done_after_the_deadline():
    finish(make_message(), timezone.now() - timedelta(days=1))
    content_sweep = ContentSweep()
    assert content_sweep.run(timezone.now(), time.monotonic() - 1) == 0
    assert content_sweep.run(timezone.now(), soon()) == 1


def test_history_goes_as_a_whole_and_younger_history_stays():
    now = timezone.now()
    old, young, live = (
        make_message(),
        make_message(),
        make_message(created_at=now - timedelta(days=90)),
    )
    for message in (old, young, live):
        recipient = message.recipient_set.get()
        Event.objects.create(at=now, message=message, kind="accepted", data={})
        Attempt.objects.create(
            message=message,
            recipient=recipient,
            number=1,
            transport="local",
            nexthop="",
            started_at=now,
            result=Attempt.Result.SENT,
        )
    finish(old, now - timedelta(days=31))
    finish(young, now - timedelta(days=29))

    assert sweep(SETTINGS)["messages"] == 1

    kept = {young.id, live.id}
    for model in (Recipient, Event, Attempt):
        assert set(model.objects.values_list("message_id", flat=True)) == kept
    assert set(Message.objects.values_list("id", flat=True)) == kept


def test_refusals_statistics_and_heartbeats_have_their_own_age():
    now = timezone.now()
    make_refusal(at=now - timedelta(days=31))
    kept = make_refusal(at=now - timedelta(days=29))
    for days in (401, 399):
        hour = (now - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
        Statistic.objects.create(minute=hour, kind="accepted", count=1)
    for hours in (25, 23):
        at = now - timedelta(hours=hours)
        Heartbeat.objects.create(part="beat", host="h", pid=hours, started_at=at, at=at)

    counts = sweep(SETTINGS)

    assert (counts["refusals"], counts["statistics"], counts["heartbeats"]) == (1, 1, 1)
    assert Refusal.objects.get() == kept
    assert Statistic.objects.count() == Heartbeat.objects.count() == 1
