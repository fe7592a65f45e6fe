"""The contents of a batch's messages: the small ones at once, large ones when asked."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from mta.queue import lease
from mta.transports.base import QueuedMessage

PRELOAD = 32 * 1024 * 1024
LARGE_KEPT = 2
_LOOK_SECONDS = 1.0


class ContentMissing(LookupError):
    """The queue has no content for a message that is not finished."""


class Room:
    """How many octets of large contents the sessions of a process hold at once. Thread-safe."""

    def __init__(self, octets: int, stopping: Callable[[], bool] = lambda: False) -> None:
        self._octets = octets
        self._stopping = stopping
        self._held = 0
        self._changed = threading.Condition()

    def take(self, octets: int) -> None:
        """Wait until there is room; one that is larger than all of it goes alone. A worker that
        is stopping finishes what is at hand, and nobody waits."""
        with self._changed:
            while self._held and self._held + octets > self._octets and not self._stopping():
                self._changed.wait(_LOOK_SECONDS)
            self._held += octets

    def give_back(self, octets: int) -> None:
        with self._changed:
            self._held -= octets
            self._changed.notify_all()


class Contents:
    """Gives the content of a message by id. Those that came with the claim (`known`) and further
    small ones are held, `preload` octets in all, and the last `large` of the others.

    `lent` lends a database connection for as long as a question takes. With hundreds of sessions
    at once the large ones share a `room`; `close` gives back what is held of it.
    """

    def __init__(
        self,
        *,
        preload: int = PRELOAD,
        large: int = LARGE_KEPT,
        room: Room | None = None,
        lent: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._preload = preload
        self._most_large = large
        self._room = room
        self._lent = lent
        self._sizes: dict[int, int] = {}
        self._small: dict[int, bytes] = {}
        self._large: OrderedDict[int, tuple[bytes, int]] = OrderedDict()

    def hold(self, messages: Iterable[QueuedMessage], known: Mapping[int, bytes]) -> None:
        """Be about these messages, and no longer those before."""
        self._sizes = {message.id: message.size for message in messages}
        self._small = {}
        wanted: list[int] = []
        left = self._preload
        for message_id, size in self._sizes.items():
            if size > left:
                continue
            left -= size
            if message_id in known:
                self._small[message_id] = known[message_id]
            else:
                wanted.append(message_id)
        if wanted:
            with self._lent():
                self._small |= lease.contents(wanted)

    def __call__(self, message_id: int) -> bytes:
        """The stored octets, CRLF line ends. Raises ContentMissing."""
        content = self._small.get(message_id)
        if content is not None:
            return content
        if message_id not in self._large:
            self._fetch(message_id)
        return self._large[message_id][0]

    def close(self) -> None:
        """Hold nothing any more."""
        self._small = {}
        self._keep_large(0)

    def _fetch(self, message_id: int) -> None:
        """Before it waits for room it gives back its own, so that two never wait for each other."""
        self._keep_large(self._most_large - 1)
        size = self._sizes.get(message_id, 0)
        if self._room is not None:
            self._room.take(size)
        content = None
        try:
            with self._lent():
                content = lease.contents([message_id]).get(message_id)
        finally:
            if content is None and self._room is not None:
                self._room.give_back(size)
        if content is None:
            raise ContentMissing(f"message {message_id} has no content")
        self._large[message_id] = (content, size)

    def _keep_large(self, count: int) -> None:
        while len(self._large) > count:
            _, (_, size) = self._large.popitem(last=False)
            if self._room is not None:
                self._room.give_back(size)
