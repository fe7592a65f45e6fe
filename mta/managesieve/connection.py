"""One ManageSieve connection: its octets, its clock, its TLS. What is said is in `session`."""

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

from mta.ingress import tls
from mta.ingress.connections import plain_address
from mta.ingress.house import House
from mta.ingress.wire import BareLineEnd, Closed, LineTooLong, Wire
from mta.policy.facts import SessionFacts
from mta.protocol.managesieve import MAX_LINE, Hopeless, Line, Reply, Wanted, Word, string

log = logging.getLogger(__name__)

LISTENER = "managesieve"
# RFC 5804 1.2: who is signed in may be silent for half an hour.
IDLE_SECONDS = 1800.0
# Who is not, has this long between two commands.
STRANGER_SECONDS = 60.0
# A command that has begun must end within this.
COMMAND_SECONDS = 120.0
# A client that does not read what it asked for is let go after this.
WRITE_SECONDS = 60.0
LINGER_SECONDS = 10.0
MAX_CONNECTIONS = 500
MAX_OF_ONE_ADDRESS = 20
_PIECE = 64 * 1024

_Read = TypeVar("_Read")


class End(Exception):
    """The session is over; the reply is the last word."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Connection(asyncio.StreamReaderProtocol):
    """`facts` is what policy may know of the client. `open_ones` holds the connections that are
    open; this enters and leaves it."""

    def __init__(self, house: House, open_ones: "set[Connection]") -> None:
        # Its reader stays empty; it is there for the writer that comes with it.
        super().__init__(asyncio.StreamReader(), self._opened)
        self.house = house
        self.facts = SessionFacts(client_ip="", listener=LISTENER, auth_required=True)
        self._wire = Wire(self._pause, self._resume)
        self._open_ones = open_ones
        self._writer: asyncio.StreamWriter | None = None
        self._is_waiting = False

    @abstractmethod
    async def converse(self) -> None:
        """From the greeting on. Raises End when the session is over, Closed."""

    # --- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        client_ip = plain_address(peer[0]) if peer else "127.0.0.1"
        counts = self.house.connections.opened(client_ip)
        self.facts = replace(
            self.facts,
            client_ip=client_ip,
            same_address=counts.address,
            same_network=counts.network,
            all_connections=counts.total,
            new_connections=counts.new,
        )
        self._open_ones.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._wire.feed(data)

    def eof_received(self) -> bool:
        # The client may have said everything and wait for the answers.
        self._wire.feed_eof()
        return not self.facts.tls

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        self.house.connections.closed(self.facts.client_ip)
        self._wire.feed_eof()
        super().connection_lost(error)

    async def _opened(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            await self.converse()
        except (Closed, ConnectionError):
            pass
        except End as end:
            await self._say_last(end.reply)
        except Exception:
            # A bug must cost one connection, never the process, and never show itself outside.
            log.exception("session with %s failed", self.facts.client_ip)
            await self._say_last(Reply(Word.BYE, "temporary trouble here", "TRYLATER"))
        finally:
            writer.close()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._abort)

    # --- what the session uses --------------------------------------------------------------------

    async def say(self, reply: Reply) -> None:
        """Raises Closed when the client does not read."""
        await self._write(reply.encode())

    async def say_line(self, text: str) -> None:
        """A string on a line by itself: a challenge. Raises Closed."""
        await self._write(string(text) + b"\r\n")

    async def read(self, reading: Generator[Wanted, bytes, _Read], seconds: float) -> _Read:
        """What the generator reads; `seconds` are for its first line. Raises BadCommand, End,
        Closed."""
        try:
            octets = await self._get(next(reading), seconds)
            async with asyncio.timeout(COMMAND_SECONDS):
                while True:
                    octets = await self._get(reading.send(octets), COMMAND_SECONDS)
        except StopIteration as done:
            found: _Read = done.value
            return found
        except TimeoutError as error:
            raise End(Reply(Word.BYE, "no more was heard in time")) from error

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on under TLS; what came in clear before is forgotten (RFC 5804 2.2). Raises Closed."""
        writer = self._open_writer()
        self._wire.discard()
        try:
            await writer.start_tls(context, ssl_handshake_timeout=tls.HANDSHAKE_SECONDS)
        except (ssl.SSLError, OSError, TimeoutError) as error:
            log.info("TLS handshake with %s failed: %s", self.facts.client_ip, error)
            raise Closed from error
        self.facts = replace(self.facts, auth_user="", tls=tls.describe(writer.transport))

    @property
    def transport(self) -> asyncio.BaseTransport:
        return self._open_writer().transport

    def close_soon(self) -> None:
        """The process ends: a client that waits for nothing is told so, and nobody is waited for
        who has heard the last word."""
        writer = self._writer
        if writer is None:
            return
        if writer.is_closing():
            if not writer.transport.get_write_buffer_size():
                writer.transport.abort()
        elif self._is_waiting and self._wire.is_empty:
            writer.write(Reply(Word.BYE, "shutting down, try again later").encode())
            writer.close()

    # --- inside -----------------------------------------------------------------------------------

    async def _write(self, octets: bytes) -> None:
        writer = self._open_writer()
        writer.write(octets)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await writer.drain()
        except TimeoutError as error:
            raise Closed from error

    async def _get(self, wanted: Wanted, seconds: float) -> bytes:
        match wanted:
            case Line():
                return await self._line(seconds)
        left = wanted.count
        if wanted.kept:
            return await self._wire.take(left)
        while left:
            left -= len(await self._wire.take(min(left, _PIECE)))
        return b""

    async def _line(self, seconds: float) -> bytes:
        self._is_waiting = True
        try:
            async with asyncio.timeout(seconds):
                return await self._wire.line(MAX_LINE)
        except LineTooLong as error:
            raise Hopeless("the line is too long") from error
        except BareLineEnd as error:
            raise Hopeless("lines end in CR LF") from error
        finally:
            self._is_waiting = False

    async def _say_last(self, reply: Reply) -> None:
        try:
            await self.say(reply)
        except (Closed, ConnectionError):
            pass

    def _open_writer(self) -> asyncio.StreamWriter:
        if self._writer is None or self._writer.is_closing():
            raise Closed
        return self._writer

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()

    def _pause(self) -> None:
        self._set_reading(paused=True)

    def _resume(self) -> None:
        self._set_reading(paused=False)

    def _set_reading(self, *, paused: bool) -> None:
        if self._writer is None or self._writer.is_closing():
            return
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        if paused:
            transport.pause_reading()
        else:
            transport.resume_reading()
