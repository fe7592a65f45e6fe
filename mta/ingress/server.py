"""Step 1: one SMTP connection, an aiosmtpd protocol with our own line reader and DATA loop.

aiosmtpd gives the connection, its timer and its life. Reading is ours because it must be
bounded, and so is writing, because replies are gathered (RFC 2920). What is said is in
`mta.ingress.session`.
"""

import asyncio
import logging
import ssl
from abc import abstractmethod
from dataclasses import replace
from typing import Any, cast

from aiosmtpd.smtp import SMTP

from mta.ingress import replies
from mta.ingress.connections import plain_address
from mta.ingress.house import House, Listener
from mta.ingress.wire import Closed, Data, Wire
from mta.policy.facts import SessionFacts
from mta.protocol.reply import Reply

log = logging.getLogger(__name__)

COMMAND_SECONDS = 300
TLS_SECONDS = 30
LINGER_SECONDS = 10
ERRORS_ALLOWED = 20
# A client with a long list hears 452 for each recipient too many, and may go on with the others.
DEFERRALS_ALLOWED = 1000


class End(Exception):
    """The session is over; what was said last is flushed."""


class Connection(SMTP):
    """One connection: its octets, its timer, its TLS. `facts` is what policy may know of it."""

    def __init__(self, house: House, listener: Listener, open_ones: "set[Connection]") -> None:
        """`open_ones` holds the open connections of the process; this enters and leaves it."""
        super().__init__(None, hostname=house.hostname, timeout=COMMAND_SECONDS)
        self.house = house
        self.facts = SessionFacts(client_ip="", listener=listener.name)
        self._listener = listener
        self._open_ones = open_ones
        self.wire = Wire(self._pause, self._resume)
        self._out: list[bytes] = []
        self._errors = 0
        self._deferrals = 0
        self._reading_data = False
        self._deadline = 0.0

    @abstractmethod
    async def greet(self) -> None:
        """The first words. Raises End to turn the client away."""

    @abstractmethod
    async def converse(self) -> None:
        """Read one command and answer it. Raises End when the session is over."""

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether no transaction is open."""

    def connection_made(self, connection: asyncio.BaseTransport) -> None:
        peer = connection.get_extra_info("peername")
        client_ip = plain_address(peer[0]) if peer else "127.0.0.1"
        same_address, same_network, total = self.house.connections.opened(client_ip)
        self.facts = SessionFacts(
            client_ip=client_ip,
            listener=self._listener.name,
            auth_required=self._listener.auth_required,
            tls=_describe_tls(connection),
            same_address=same_address,
            same_network=same_network,
            all_connections=total,
        )
        self._open_ones.add(self)
        super().connection_made(connection)

    def data_received(self, data: bytes) -> None:
        self.wire.feed(data)
        if self._reading_data:
            self._reset_timeout()

    def eof_received(self) -> bool:
        # The client may have said everything and wait for the answers.
        self.wire.feed_eof()
        return not self.facts.tls

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        self.house.connections.closed(self.facts.client_ip)
        self.wire.feed_eof()
        super().connection_lost(error)

    def _reset_timeout(self, duration: float | None = None) -> None:
        # aiosmtpd makes a new timer for every command; moving the deadline costs next to nothing.
        self._deadline = self.loop.time() + (duration or self._timeout_duration)
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_at(self._deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        if self.loop.time() >= self._deadline:
            self._timeout_cb()
        else:
            self._timeout_handle = self.loop.call_at(self._deadline, self._check_deadline)

    def _timeout_cb(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.write(replies.TIMED_OUT.encode())
            pipe.close()
            # Closing waits until the client has read; one that never reads gets no such time.
            self.loop.call_later(LINGER_SECONDS, pipe.abort)

    def close_soon(self) -> None:
        """The process ends: an idle client is told so; a transaction may still finish."""
        pipe = self._pipe
        if self.is_idle and self.wire.is_empty and pipe is not None:
            pipe.write(replies.SHUTTING_DOWN.encode())
            pipe.close()

    @property
    def _pipe(self) -> asyncio.Transport | None:
        """The transport while the connection is open."""
        pipe = cast(asyncio.Transport | None, self.transport)
        return None if pipe is None or pipe.is_closing() else pipe

    async def _handle_client(self) -> None:
        try:
            await self.greet()
            while True:
                if not self.wire.has_line:
                    await self.flush()
                await self.converse()
        except (Closed, ConnectionError):
            pass
        except End:
            await self._flush_quietly()
        except Exception:
            # A bug must cost one connection, never the process, and never show itself outside.
            log.exception("session with %s failed", self.facts.client_ip)
            self._out.append(replies.LOCAL_TROUBLE.encode())
            await self._flush_quietly()
        finally:
            if self.transport is not None:
                self.transport.close()

    async def read_data(self, limit: int) -> Data:
        """The message after 354, of at most `limit` octets; each packet sets the timer anew."""
        self._reading_data = True
        try:
            return await self.wire.data(limit, self.house.budget)
        finally:
            self._reading_data = False

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on under TLS; what came in clear before is forgotten (RFC 3207 4.2)."""
        self.wire.discard()
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=TLS_SECONDS)
        except (ssl.SSLError, OSError, TimeoutError) as error:
            log.info("TLS handshake with %s failed: %s", self.facts.client_ip, error)
            raise Closed from error
        self.transport = self._writer.transport
        self.facts = replace(
            self.facts, helo="", auth_user="", esmtp=True, tls=_describe_tls(self.transport)
        )

    def say(self, reply: Reply) -> None:
        """Answer; the octets leave when the client waits for them."""
        self._out.append(reply.encode())

    def complain(self, reply: Reply) -> None:
        """Answer an error; too many of them end the session (RFC 5321 7.8)."""
        self.say(reply)
        if reply.is_transient:
            self._deferrals += 1
        else:
            self._errors += 1
        if self._errors > ERRORS_ALLOWED or self._deferrals > DEFERRALS_ALLOWED:
            self.say(replies.TOO_MANY_ERRORS)
            raise End

    async def flush(self) -> None:
        """Send what has been said."""
        if self._out:
            octets = b"".join(self._out)
            self._out.clear()
            self._writer.write(octets)
            await self._writer.drain()

    async def _flush_quietly(self) -> None:
        try:
            await self.flush()
        except ConnectionError:
            pass

    def _pause(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.pause_reading()

    def _resume(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.resume_reading()


def _describe_tls(connection: Any) -> str:
    tls = connection.get_extra_info("ssl_object")
    if tls is None:
        return ""
    cipher = tls.cipher()
    return f"{tls.version()} {cipher[0]}" if cipher else str(tls.version())
