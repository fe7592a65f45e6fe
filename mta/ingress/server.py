"""Step 1: one SMTP connection, an aiosmtpd protocol with our own line reader and DATA loop.

aiosmtpd gives the connection, its timer and its life. Reading is ours because it must be
bounded, and so is writing, because replies are gathered (RFC 2920). What is said is in
`mta.ingress.session`.
"""

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import cast

from aiosmtpd.smtp import SMTP
from django.db import DatabaseError, InterfaceError

from mta.ingress import pace, replies, tls
from mta.ingress.connections import Counts, plain_address
from mta.ingress.house import House, Listener
from mta.ingress.pace import Pace
from mta.ingress.patience import Patience, is_tarpitted
from mta.ingress.wire import Closed, Collected, Data, Wire
from mta.policy.facts import Policy, SessionFacts
from mta.protocol import proxy_header
from mta.protocol.proxy_header import Announced, BadHeader
from mta.protocol.reply import Reply

log = logging.getLogger(__name__)

COMMAND_SECONDS = 300
LINGER_SECONDS = 10
INTRODUCTION_SECONDS = 5
REPLIES_GATHERED = 100


class End(Exception):
    """The session is over; what was said last is flushed."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a balancer said of the connection; `client` is None when it speaks for itself."""

    client: Announced | None


class Connection(SMTP):
    """One connection: its octets, its timer, its TLS. `facts` is what policy may know of it."""

    def __init__(
        self,
        house: House,
        listener: Listener,
        open_ones: "set[Connection]",
        introduction: Introduction | None = None,
    ) -> None:
        """`open_ones` holds the open connections of the process; this enters and leaves it.
        `introduction` is what a balancer has said already."""
        super().__init__(None, hostname=house.hostname, timeout=COMMAND_SECONDS)
        self.house = house
        self.listener = listener
        self.facts = SessionFacts(
            client_ip="", listener=listener.name, auth_required=listener.auth_required
        )
        self.patience = Patience()
        self._open_ones = open_ones
        self._introduction = introduction
        self.wire = Wire(self._pause, self._resume)
        self._out: list[bytes] = []
        self._pause_due = 0.0
        self._pace = Pace()
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

    @abstractmethod
    def end_transaction(self) -> None:
        """Forget the transaction, and give back what it held."""

    def connection_made(self, connection: asyncio.BaseTransport) -> None:
        peer = connection.get_extra_info("peername")
        client_ip = plain_address(peer[0]) if peer else "127.0.0.1"
        self._count(client_ip, self.house.connections.opened(client_ip))
        self.facts = replace(
            self.facts, tls=tls.describe(connection), certificate=tls.identities(connection)
        )
        if self._introduction is not None:
            self._introduced(self._introduction)
        self._open_ones.add(self)
        super().connection_made(connection)

    async def introduce(self, policy: Policy) -> None:
        """Hear from a balancer who the client is; from anybody else there is nothing to hear.

        Raises Closed when the balancer does not say it in time, or says something else.
        """
        access = policy.access_for(self.facts.client_ip)
        if access is None or not access.proxy or self.listener.implicit_tls:
            return
        try:
            self._introduced(await read_introduction(self.wire.take))
        except (BadHeader, TimeoutError) as error:
            log.warning("no PROXY header from %s: %s", self.facts.client_ip, error or "too slow")
            raise Closed from error

    def _introduced(self, introduction: Introduction) -> None:
        if introduction.client is None:
            return
        balancer = self.facts.client_ip
        client_ip = plain_address(introduction.client.address)
        self.house.connections.closed(balancer)
        self._count(client_ip, self.house.connections.opened(client_ip))
        self.facts = replace(self.facts, proxy_ip=balancer)

    def _count(self, client_ip: str, counts: Counts) -> None:
        self.facts = replace(
            self.facts,
            client_ip=client_ip,
            same_address=counts.address,
            same_network=counts.network,
            all_connections=counts.total,
            new_connections=counts.new,
        )

    def data_received(self, data: bytes) -> None:
        self.wire.feed(data)
        if self._pace.is_measured:
            self._pace.came(len(data))
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
            self._look_again()

    def allow(self, seconds: float) -> None:
        """What the client waits for now may take that long beside the time it has itself."""
        self._reset_timeout(COMMAND_SECONDS + seconds)

    def _look_again(self) -> None:
        """Set the one timer of the connection: the deadline, or sooner a look at the pace."""
        soon = min(self._deadline, self.loop.time() + pace.WINDOW_SECONDS)
        self._timeout_handle = self.loop.call_at(soon, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        now = self.loop.time()
        if now >= self._deadline or self._pace.is_too_slow(now):
            self._timeout_cb()
        else:
            self._look_again()

    def _timeout_cb(self) -> None:
        if (pipe := self._pipe) is not None:
            pipe.write(replies.TIMED_OUT.encode())
            pipe.close()
            # Closing waits until the client has read; one that never reads gets no such time.
            self.loop.call_later(LINGER_SECONDS, pipe.abort)

    def close_soon(self) -> None:
        """The process ends: an idle client is told so; a transaction may still finish."""
        pipe = self._pipe
        if self.is_idle and self.wire.is_empty and not self._out and pipe is not None:
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
                elif len(self._out) >= REPLIES_GATHERED:
                    await self.flush()
                    # Commands without end must not keep the other sessions waiting.
                    await asyncio.sleep(0)
                await self.converse()
                if self._pause_due:
                    await self._sit_out()
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
            self.end_transaction()
            if self.transport is not None:
                self.transport.close()

    async def read_data(self, limit: int) -> Data:
        """The message after 354, of at most `limit` octets; each packet sets the timer anew."""
        self._begin_content()
        try:
            return await self.wire.data(limit, self.house.budget)
        finally:
            self._pace.end()

    async def read_chunk(self, size: int, collected: Collected) -> None:
        """The octets behind a BDAT, under the same clock."""
        if self.wire.buffered < size:
            # Before it sends them, the client may wait for what was said to earlier commands.
            await self.flush()
        self._begin_content()
        try:
            await self.wire.chunk(size, collected)
        finally:
            self._pace.end()

    def _begin_content(self) -> None:
        self._pace.begin(self.loop.time(), self.house.gate.policy.limits.data_rate)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on under TLS; what came in clear before is forgotten (RFC 3207 4.2)."""
        self.wire.discard()
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=tls.HANDSHAKE_SECONDS)
        except (ssl.SSLError, OSError, TimeoutError) as error:
            log.info("TLS handshake with %s failed: %s", self.facts.client_ip, error)
            raise Closed from error
        self.transport = self._writer.transport
        self.facts = replace(
            self.facts,
            helo="",
            auth_user="",
            esmtp=True,
            tls=tls.describe(self.transport),
            certificate=tls.identities(self.transport),
        )

    def say(self, reply: Reply) -> None:
        """Answer; the octets leave when the client waits for them."""
        self._out.append(reply.encode())

    def say_encoded(self, octets: bytes) -> None:
        """Answer by more than one reply, or by one within another."""
        self._out.append(octets)

    def complain(self, reply: Reply) -> None:
        """Answer an error; too many of them end the session (RFC 5321 7.8). Raises End."""
        self.patience.wrong(reply)
        self._turn_down(reply)

    def refuse_recipient(self, reply: Reply) -> None:
        """The same for a recipient, of whom a client may have many. Raises End."""
        self.patience.refused_recipient(reply)
        self._turn_down(reply)

    def _turn_down(self, reply: Reply) -> None:
        self.say(reply)
        policy = self.house.gate.policy
        if self.patience.is_over(policy.limits):
            self.say(replies.TOO_MANY_ERRORS)
            raise End
        if reply.is_permanent and is_tarpitted(self.facts, policy):
            self._pause_due = self.patience.next_pause()

    async def _sit_out(self) -> None:
        """The tarpit: what was said waits, and so does what the client has sent meanwhile."""
        seconds, self._pause_due = self._pause_due, 0.0
        await asyncio.sleep(seconds)

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


async def read_introduction(take: Callable[[int], Awaitable[bytes]]) -> Introduction:
    """A balancer's PROXY header; `take` gives exactly so many octets.

    Raises BadHeader, TimeoutError, or Closed.
    """
    header = b""
    async with asyncio.timeout(INTRODUCTION_SECONDS):
        while count := proxy_header.missing(header):
            header += await take(count)
    return Introduction(proxy_header.parse(header))


async def policy_now(house: House) -> Policy:
    """The policy in force; with the database away the last one seen, since MAIL will tell."""
    try:
        return await house.gate.current()
    except (DatabaseError, InterfaceError) as error:
        log.error("the directory does not answer: %s", error)
        return house.gate.policy
