"""How many recipients one sender may have in a window of time, and when more of them may go.

The window slides: it is cut into slots, and what was counted in a slot counts until all of it is
older than the window. Mail that must wait is counted in the slot in which it will go, behind all
mail that waits already, so that it can be told at once when that is, and nobody jumps the queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SLOTS = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """So many `recipients` in `window` seconds. Mail waits for at most `longest_wait` seconds, 0
    when it is not to wait."""

    recipients: int
    window: float
    longest_wait: float = 0.0

    @property
    def slot(self) -> float:
        return self.window / SLOTS

    def slot_of(self, at: float) -> float:
        """When the slot begins that holds this time."""
        return at - at % self.slot


@dataclass(frozen=True, slots=True)
class Usage:
    """A message of `sender` with so many recipients at `at`, seconds since the epoch.

    `message_id` is its number in the queue. A `rehearsal` counts nothing.
    """

    filter: str
    sender: str
    recipients: int
    limit: Limit
    at: float
    message_id: int = 0
    rehearsal: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    """`wait` is in seconds: 0 goes at once, None never under this limit. `used` is what counts
    now, without this message."""

    wait: float | None
    used: int


@dataclass(frozen=True, slots=True)
class Slot:
    """So many recipients were counted in the slot that begins at `begins`."""

    begins: float
    recipients: int


def book(taken: Sequence[Slot], recipients: int, limit: Limit, at: float) -> Booking:
    """When a message with so many recipients may go; `taken` are slots in any order.

    One that has more recipients than the limit waits for a window of its own, if it may wait.
    """
    used = sum(slot.recipients for slot in taken if _counts(slot, limit, at))
    if recipients > limit.recipients and not limit.longest_wait:
        return Booking(None, used)
    goes = max([at, *(slot.begins for slot in taken)])
    room = limit.recipients - min(recipients, limit.recipients)
    for slot in sorted(taken, key=lambda slot: slot.begins, reverse=True):
        room -= slot.recipients
        if room < 0:
            goes = max(goes, slot.begins + limit.slot + limit.window)
            break
    wait = goes - at
    return Booking(wait if wait <= limit.longest_wait else None, used)


def _counts(slot: Slot, limit: Limit, at: float) -> bool:
    return slot.begins <= at < slot.begins + limit.slot + limit.window
