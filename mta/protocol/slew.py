"""A slew of duplicates: when copies of one message become too many (spec 6.2, dupfilter).

Each message has two digests, so that a text is known again whose beginning or end is made out to
each recipient. Each of the two is judged by itself, over the last so many messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sighting:
    """One message as a filter sees it; `message_id` is its number in the queue.

    A slew is `level` copies among the last `remembered` messages that are not older than so many
    `seconds`, 0 for any age. Only when it is `enforced` are copies cancelled that are queued, and
    a `rehearsal` is not remembered either.
    """

    filter: str
    message_id: int
    top: bytes
    bottom: bytes
    level: int
    remembered: int
    seconds: float = 0.0
    enforced: bool = False
    rehearsal: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """An earlier message with the same digest; `stopped` when it was refused or cancelled."""

    message_id: int
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """`slew`: this copy is one too many. `copies` counts it; `stop` are earlier ones to cancel."""

    slew: bool
    copies: int
    stop: tuple[int, ...] = ()


def judge(earlier: Sequence[Copy], level: int) -> Word:
    """What becomes of a message, by the earlier ones with its digest, the newest first."""
    copies = len(earlier) + 1
    if earlier and earlier[0].stopped:
        return Word(True, copies)
    if copies < level:
        return Word(False, copies)
    return Word(True, copies, tuple(copy.message_id for copy in earlier if not copy.stopped))
