"""The listening side of a listener: connections become sessions.

Where TLS begins with the first octet (RFC 8314 3.3), a balancer's PROXY header comes before the
handshake. It is read from the bare socket there, and not an octet further, so that the handshake
finds what is its own. On the other listeners the session reads it (`Connection.introduce`).
"""

import asyncio
import logging
import socket
import ssl
from functools import partial
from typing import Any, Protocol

from mta.ingress import server, tls
from mta.ingress.connections import Connections, Counts, plain_address
from mta.ingress.house import House, Listener
from mta.ingress.server import Connection, Introduction
from mta.ingress.session import Session
from mta.ingress.vocabulary import VERBS
from mta.ingress.wire import Closed
from mta.policy.decision import Stage, Verdict, decide
from mta.policy.facts import Facts, Policy, SessionFacts
from mta.protocol.proxy_header import BadHeader

log = logging.getLogger(__name__)

BACKLOG = 512
# When no connection can be taken (file descriptors), for so long nobody asks again.
TROUBLE_SECONDS = 1.0


class Opened(Protocol):
    """A listener that takes connections until it is closed."""

    def close(self) -> None: ...


async def open_door(
    house: House, listener: Listener, sock: socket.socket, sessions: set[Connection]
) -> Opened:
    """Take connections from a bound socket; `sessions` holds the open ones."""
    if listener.implicit_tls:
        return _TlsDoor(house, listener, sock, sessions)
    return await asyncio.get_running_loop().create_server(
        partial(Session, house, listener, sessions, VERBS), sock=sock, backlog=BACKLOG
    )


class _TlsDoor:
    """Takes each connection by itself: a header if it is a balancer's, then the handshake.

    Until then there is no session that counts; so those who are still arriving are counted here,
    lest a client that never speaks holds as many connections as it likes.
    """

    def __init__(
        self, house: House, listener: Listener, sock: socket.socket, sessions: set[Connection]
    ) -> None:
        assert house.tls is not None
        self._house = house
        self._listener = listener
        self._sessions = sessions
        self._context = tls.for_listener(house.tls, listener)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._handshakes = Connections()
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        for task in (self._accepting, *self._arriving):
            task.cancel()
        self._sock.close()

    async def _accept(self) -> None:
        while True:
            try:
                connection, peer = await self._loop.sock_accept(self._sock)
            except OSError as error:
                log.error("no connection can be taken: %s", error)
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            task = self._loop.create_task(self._arrive(connection, peer))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _arrive(self, connection: socket.socket, peer: Any) -> None:
        peer_ip = plain_address(peer[0])
        connection.setblocking(False)
        self._handshakes.opened(peer_ip)
        counts = self._house.connections.with_arriving(peer_ip, self._handshakes)
        try:
            introduction = await self._introduction(connection, peer_ip, counts)
            await self._loop.connect_accepted_socket(
                partial(Session, self._house, self._listener, self._sessions, VERBS, introduction),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=tls.HANDSHAKE_SECONDS,
            )
        except (BadHeader, Closed, ssl.SSLError, OSError) as error:
            log.info("no session for %s on %s: %r", peer_ip, self._listener.name, error)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._handshakes.closed(peer_ip)

    async def _introduction(
        self, connection: socket.socket, peer_ip: str, counts: Counts
    ) -> Introduction | None:
        """What a balancer says; raises Closed for a client that may not even begin."""
        policy = await server.policy_now(self._house)
        access = policy.access_for(peer_ip)
        if access is None or not access.proxy:
            self._admit(peer_ip, counts, policy)
            return None
        return await server.read_introduction(partial(self._read, connection))

    def _admit(self, client_ip: str, counts: Counts, policy: Policy) -> None:
        """Who would be told to come back later gets no handshake. Raises Closed."""
        facts = SessionFacts(
            client_ip=client_ip,
            listener=self._listener.name,
            same_address=counts.address,
            same_network=counts.network,
            all_connections=counts.total,
        )
        decision = decide(Stage.CONNECT, Facts(session=facts), policy)
        if decision.verdict is Verdict.DEFER:
            raise Closed(decision.rule)

    async def _read(self, connection: socket.socket, count: int) -> bytes:
        """Exactly so many octets. Raises Closed."""
        octets = b""
        while len(octets) < count:
            received = await self._loop.sock_recv(connection, count - len(octets))
            if not received:
                raise Closed
            octets += received
        return octets
