"""Reading from a client: command lines, the DATA loop and the chunks of BDAT, all bounded.

Only CRLF ends a line and only CRLF.CRLF ends the message of DATA, wherever the packets are cut.
What is too long is thrown away as it comes, but read to its true end, so that the tail of a
refused message is never taken for commands.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

HIGH_WATER = 512 * 1024
_END = b"\r\n.\r\n"


class Closed(Exception):
    """The client is gone."""


class LineTooLong(Exception):
    """A command line beyond the limit; it has been read to its end."""


class BareLineEnd(Exception):
    """A command that ends in a lone LF, or has a CR inside."""


class Budget:
    """Octets of message content in memory, over all connections of this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0

    @property
    def used(self) -> int:
        return self._used

    def take(self, octets: int) -> bool:
        """Reserve so many; False when there is no room."""
        if self._used + octets > self._limit:
            return False
        self._used += octets
        return True

    def give_back(self, octets: int) -> None:
        self._used -= octets


@dataclass(frozen=True, slots=True)
class Data:
    """A message as read: dot-unstuffed if it came by DATA, CRLF at the end of the last line.

    `content` is None when it was thrown away: `too_big`, or else for want of memory. `size` is
    what the client sent, in octets. `reserved` is what must be given back to the budget.
    """

    content: bytes | None
    size: int
    too_big: bool = False
    reserved: int = 0


class Wire:
    """The incoming side of one connection. `pause` and `resume` control the transport."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._eof = False
        self._paused = False
        self._pause = pause
        self._resume = resume

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def feed_eof(self) -> None:
        self._eof = True
        self._wake()

    def discard(self) -> None:
        """Forget what was sent before TLS (RFC 3207 4.2)."""
        self._buffer.clear()

    @property
    def has_line(self) -> bool:
        """Whether another command has arrived already, so that replies may be gathered."""
        return b"\n" in self._buffer

    @property
    def is_empty(self) -> bool:
        return not self._buffer

    @property
    def buffered(self) -> int:
        """Octets that have come and were not read."""
        return len(self._buffer)

    async def line(self, limit: int) -> bytes:
        """The next command without its CRLF, of at most `limit` octets.

        Raises Closed, LineTooLong or BareLineEnd.
        """
        scanned = 0
        too_long = False
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            scanned = len(self._buffer)
            if scanned > limit:
                too_long = True
                self._buffer.clear()
                scanned = 0
            await self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._relax()
        if too_long or len(line) > limit:
            raise LineTooLong
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise BareLineEnd
        return line[:-1]

    async def data(self, limit: int, budget: Budget) -> Data:
        """The message up to the lone dot (RFC 5321 4.1.1.4, 4.5.2). Raises Closed."""
        # The line before the first one ended in CRLF: that of DATA itself. It does not count.
        collected = Collected(limit + 2, budget)
        tail = bytearray(b"\r\n")
        try:
            while True:
                tail += self._buffer
                self._buffer.clear()
                self._relax()
                end = tail.find(_END)
                if end >= 0:
                    collected.add(tail[: end + 2])
                    self._buffer[:0] = tail[end + len(_END) :]
                    return collected.dotted()
                # Keep what may be the beginning of the end.
                keep = len(_END) - 1
                collected.add(tail[:-keep])
                del tail[:-keep]
                await self._more()
        except BaseException:
            collected.drop()
            raise

    async def chunk(self, size: int, collected: "Collected") -> None:
        """The octets of one BDAT (RFC 3030 2), added to `collected`. Raises Closed.

        Every one of them is read, even if `collected` has no room any more.
        """
        while size:
            while not self._buffer:
                await self._more()
            part = self._buffer[:size]
            del self._buffer[:size]
            self._relax()
            size -= len(part)
            collected.add(part)

    async def take(self, count: int) -> bytes:
        """Exactly so many octets. Raises Closed."""
        while len(self._buffer) < count:
            await self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._relax()
        return taken

    async def _more(self) -> None:
        if self._eof:
            raise Closed
        # Only the handler of the connection reads, so there is one waiter at most.
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _relax(self) -> None:
        if self._paused and len(self._buffer) <= HIGH_WATER // 2:
            self._paused = False
            self._resume()


class Collected:
    """The content so far, within the limit and the budget; beyond either only its size."""

    def __init__(self, limit: int, budget: Budget) -> None:
        self._limit = limit
        self._budget = budget
        self._content = bytearray()
        self._size = 0
        self._reserved = 0
        self._too_big = False
        self._no_memory = False

    @property
    def is_lost(self) -> bool:
        """Whether it was too much, so that there is no content any more."""
        return self._too_big or self._no_memory

    def add(self, data: bytearray) -> None:
        self._size += len(data)
        if self._too_big or self._no_memory:
            return
        if self._size > self._limit:
            self._too_big = True
        elif not self._budget.take(len(data)):
            self._no_memory = True
        else:
            self._reserved += len(data)
            self._content += data
            return
        self.drop()

    def dotted(self) -> Data:
        """What came by DATA, the CRLF before its first line included."""
        size = self._size - 2
        if self.is_lost:
            return Data(None, size, too_big=self._too_big)
        # Every line that begins with a dot was given one more (RFC 5321 4.5.2).
        content = bytes(self._content.replace(b"\r\n.", b"\r\n")[2:])
        return Data(content, size, reserved=self._reserved)

    def chunked(self) -> Data:
        """What came by BDAT: no dots were added, and the last line may lack its end."""
        if self.is_lost:
            return Data(None, self._size, too_big=self._too_big)
        if self._content and not self._content.endswith(b"\r\n"):
            self._content += b"\r\n"
        return Data(bytes(self._content), self._size, reserved=self._reserved)

    def drop(self) -> None:
        self._budget.give_back(self._reserved)
        self._reserved = 0
        self._content = bytearray()
