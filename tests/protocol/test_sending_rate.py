"""The sliding window: what fits goes, what does not is told when it does."""

import pytest

from mta.protocol.sending_rate import Limit, Slot, book

REFUSING = Limit(10, 60.0)
HOLDING = Limit(10, 60.0, longest_wait=300.0)


@pytest.mark.parametrize(
    ("taken", "recipients", "wait"),
    [
        ([], 10, 0.0),
        ([Slot(940.0, 5)], 5, 0.0),
        ([Slot(940.0, 5)], 6, 1.0),  # a slot lasts a second, and counts for a minute after it
        ([Slot(939.0, 5)], 10, 0.0),
        ([Slot(950.0, 5), Slot(960.0, 5)], 1, 11.0),
        ([Slot(950.0, 5), Slot(960.0, 5)], 6, 21.0),
        ([Slot(960.0, 10), Slot(1021.0, 10)], 1, 82.0),  # behind what waits already
        ([Slot(990.0, 1), Slot(1060.0, 3)], 1, 60.0),  # there would be room, but nobody overtakes
        ([Slot(990.0, 1)], 50, 51.0),  # more than the limit: a window of its own
        ([Slot(1290.0, 10)], 1, None),  # longer than anything may wait
    ],
)
def test_mail_goes_as_soon_as_the_window_has_room(taken, recipients, wait):
    assert book(taken, recipients, HOLDING, 1000.0).wait == wait


def test_mail_that_may_not_wait_goes_at_once_or_not_at_all():
    assert book([Slot(990.0, 9)], 1, REFUSING, 1000.0).wait == 0.0
    assert book([Slot(990.0, 9)], 2, REFUSING, 1000.0).wait is None
    assert book([], 11, REFUSING, 1000.0).wait is None


def test_what_counts_now_is_told():
    taken = [Slot(900.0, 3), Slot(950.0, 4), Slot(1020.0, 9)]
    assert book(taken, 1, HOLDING, 1000.0).used == 4


def test_no_window_ever_holds_more_than_the_limit():
    """Whatever comes, at the times at which it goes."""
    taken: dict[float, int] = {}
    gone: list[tuple[float, int]] = []
    limit = Limit(10, 60.0, longest_wait=10_000.0)
    for number in range(200):
        at, recipients = 1000.0 + number * 3.7, 1 + number * 7 % 5
        booking = book([Slot(*slot) for slot in taken.items()], recipients, limit, at)
        goes = at + booking.wait
        taken[limit.slot_of(goes)] = taken.get(limit.slot_of(goes), 0) + recipients
        gone.append((goes, recipients))
    for start, _ in gone:
        assert sum(n for at, n in gone if start <= at <= start + 60.0) <= 10
