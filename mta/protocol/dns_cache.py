"""Answers of the DNS, kept for a short while for all sessions of a process.

A client that sends ten messages in a row must not cost ten times the same lookups, and a burst
against a domain whose servers are down must not wait for them each time. Bounded in time and
in number; the resolver keeps each single answer small.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MAX_ENTRIES = 10_000

# Seconds. An administrator who mends a record should not have to wait for us.
POSITIVE = 300
NEGATIVE = 60
TROUBLE = 5

Answer = TypeVar("Answer")


class AnswerCache(Generic[Answer]):
    """The answer to a question until its time is over. Safe to use from any thread.

    One cache belongs to one set of name servers. When full it forgets what was asked for least
    recently.
    """

    def __init__(
        self, max_entries: int = MAX_ENTRIES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, question: Hashable) -> Answer | None:
        with self._lock:
            entry = self._entries.get(question)
            if entry is None:
                return None
            until, answer = entry
            if until <= self._clock():
                del self._entries[question]
                return None
            self._entries.move_to_end(question)
            return answer

    def put(self, question: Hashable, answer: Answer, seconds: float) -> None:
        """Keeps `answer` for `seconds`; zero or less does not keep it at all."""
        if seconds <= 0:
            return
        with self._lock:
            self._entries[question] = (self._clock() + seconds, answer)
            self._entries.move_to_end(question)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
