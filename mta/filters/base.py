"""Step 3, the contract between the chain and one kind of site filter.

A kind is one file under `mta.filters.site`: a class with the attributes of `Kind`, found by name in
the registry or by the entry point group `mta.filters`. It says what it thinks; the chain looks
after time limits, states and trouble.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mta.protocol.sender_check import SenderQuestion, SenderWord
from mta.protocol.sending_rate import Booking, Usage
from mta.protocol.site_filter import FilterRequest, FilterStage, FilterTerms, FilterVerdict
from mta.protocol.slew import Sighting, Word


class Trouble(Exception):
    """The filter is away, was too slow, or answered nonsense; the text says which."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind, as the console asks for it. `type` is str, int, float, bool or list (of
    str, one a line); `default` has that type."""

    name: str
    label: str
    default: Any
    help: str = ""

    @property
    def type(self) -> type:
        return type(self.default)


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What the appliance does for kinds that ask in their constructor: `__init__(self, context)`.

    Each call may block on the database or the network, in a thread of its own; it raises Trouble.
    `sighting` counts a copy of a message, `booking` counts the recipients of a sender, `ask_about`
    asks the hosts of a sender's domain, `user_name` is that of a uid.
    """

    sighting: Callable[[Sighting], Awaitable[Word]]
    booking: Callable[[Usage], Awaitable[Booking]]
    ask_about: Callable[[SenderQuestion], Awaitable[SenderWord]]
    user_name: Callable[[int], Awaitable[str]]


class Kind(Protocol):
    """A kind that needs more than the request takes a `FilterContext` in its constructor.

    `has_text` says that the row's text is a program of some language (Sieve). A kind may also have
    `replayable`: true when judging has no effects at all, so that it may be asked about old mail
    for a trial; and `trace(request, terms)`, which tells how its text was evaluated
    (`mta.filters.trial`).
    """

    name: str
    label: str
    stages: frozenset[FilterStage]
    options: tuple[Option, ...]
    has_text: bool

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError with a sentence when the row cannot work."""

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        """Raises Trouble. May be cancelled when its time is over."""
