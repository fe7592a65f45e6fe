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
    most PRELOAD octets of further small messages, and the last LARGE_KEPT of the others."""

    def __init__(
        self, messages: Iterable[QueuedMessage], known: Mapping[int, bytes] | None = None
    ) -> None:
        self._small = dict(known or {})
        wanted: list[int] = []
        total = 0
        for message in messages:
            if message.id not in self._small and total + message.size <= PRELOAD:
                wanted.append(message.id)
                total += message.size
        if wanted:
            self._small |= lease.contents(wanted)
        self._large: OrderedDict[int, bytes] = OrderedDict()

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
        while len(self._large) > LARGE_KEPT:
            self._large.popitem(last=False)
        return found[message_id]
