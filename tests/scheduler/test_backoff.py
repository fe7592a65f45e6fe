"""Courier's retry formula."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate

from mta.scheduler.backoff import Backoff


def minutes(backoff: Backoff, count: int) -> list[int]:
    """When the attempts after the first come, in minutes after it."""
    delays = (backoff.delay(attempts) for attempts in range(1, count + 1))
    return [round(moment / 60) for moment in accumulate(delay.total_seconds() for delay in delays)]


def test_the_times_of_the_defaults():
    assert minutes(Backoff(), 12) == [5, 10, 40, 45, 50, 110, 115, 120, 240, 245, 250, 370]


def test_the_pause_stops_growing():
    assert {Backoff().delay(attempts) for attempts in range(12, 300, 3)} == {timedelta(hours=2)}


def test_other_settings():
    every_hour = Backoff(timedelta(0), 1, timedelta(minutes=30), 1)
    assert minutes(every_hour, 3) == [60, 120, 180]
    one_by_one = Backoff(timedelta(minutes=1), 2, timedelta(minutes=10), 0)
    assert minutes(one_by_one, 4) == [1, 11, 12, 22]


def test_the_forecast_is_what_the_formula_does():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    times = Backoff().forecast(0, now, now + timedelta(minutes=42), 50)
    # The first attempt after the expiry is made, and is the last.
    assert [round((at - now).total_seconds() / 60) for at in times] == [0, 5, 10, 40, 45]
    later = Backoff().forecast(2, now, now + timedelta(days=5), 3)
    assert [round((at - now).total_seconds() / 60) for at in later] == [0, 30, 35]
