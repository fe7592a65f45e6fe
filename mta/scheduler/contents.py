"""The contents of a batch's messages: the small ones at once, large ones when asked."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from mta.queue import lease
from mta.transports.base import QueuedMessage

PRELOAD = 32 * 1024 * 1024
LARGE_KEPT = 2


class ContentMissing(LookupError):
    """The queue has no content for a message that is not finished."""


class Contents:
    """Gives the content of a message by id; holds those that came with the claim (`known`), at
    most `preload` octets of further small messages, and the last `large` of the others."""

    def __init__(
        self,
        messages: Iterable[QueuedMessage],
        known: Mapping[int, bytes] | None = None,
        *,
        preload: int = PRELOAD,
        large: int = LARGE_KEPT,
    ) -> None:
        self._preload = preload
        self._most_large = large
        self._small: dict[int, bytes] = {}
        self._large: OrderedDict[int, bytes] = OrderedDict()
        self.hold(messages, known or {})

    def hold(self, messages: Iterable[QueuedMessage], known: Mapping[int, bytes]) -> None:
        """Hold these messages, and no longer those before."""
        self._small = dict(known)
        wanted: list[int] = []
        total = 0
        for message in messages:
            if message.id not in self._small and total + message.size <= self._preload:
                wanted.append(message.id)
                total += message.size
        if wanted:
            self._small |= lease.contents(wanted)

    def has(self, message_id: int) -> bool:
        """Whether it can be given without a question to the database."""
        return message_id in self._small or message_id in self._large

    def __call__(self, message_id: int) -> bytes:
        """The stored octets, CRLF line ends. Raises ContentMissing."""
        content = self._small.get(message_id)
        if content is None:
            content = self._large.get(message_id)
        if content is None:
            content = self._fetch(message_id)
        return content

    def _fetch(self, message_id: int) -> bytes:
        found = lease.contents([message_id])
        if message_id not in found:
            raise ContentMissing(f"message {message_id} has no content")
        self._large[message_id] = found[message_id]
        while len(self._large) > self._most_large:
            self._large.popitem(last=False)
        return found[message_id]
