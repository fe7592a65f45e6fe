"""The lmtp transport: mail for a server that keeps mailboxes, as Dovecot does (step 6, RFC 2033).

LMTP is ESMTP with another greeting and a reply for each recipient after the final dot; mail that
the server has taken is delivered, and reports on it are ours. The next hops, which routes name:

    lmtp:HOST:PORT, lmtp:[192.0.2.1]:PORT
    lmtp:/run/dovecot/lmtp          a socket of this machine
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.mx import MxError, MxHost, NoAddress, is_ip, literal_address
from mta.protocol.reply import Reply
from mta.protocol.tls_result import PolicyType
from mta.transports.base import (
    AddressBook,
    DeliveryContext,
    DeliveryRequest,
    Done,
    Outcome,
    Pool,
)
from mta.transports.esmtp_connect import (
    Connection,
    Connector,
    Nexthop,
    Refused,
    Target,
    Tls,
    targets_of,
)
from mta.transports.esmtp_handover import hand_over, same_for_all
from mta.transports.esmtp_security import Demand, Level, Security

PORT = 24
_PREFIX = "lmtp:"
_LOCALHOST = "localhost"
_LOOPBACK = MxHost(_LOCALHOST, ("127.0.0.1", "::1"), -1)

# What we make use of. Not DSN, since the reports are ours; not CHUNKING or EXDATA, since LMTP has
# its own way to tell the verdicts.
_USED = frozenset(
    {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "REQUIRETLS"}
)
_IN_CLEAR = Demand(PolicyType.ROUTE, Level.CLEAR, Level.CLEAR)


class Lmtp:
    name = "lmtp"
    priority = 45
    limit = 4
    batch = 100
    pool = Pool.REMOTE
    done = Done.DELIVERED

    def claim(self, address: str, book: AddressBook) -> str | None:
        nexthop = book.nexthop(address)
        return nexthop if nexthop.startswith(_PREFIX) else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        """Raises ValueError for a next hop that is none of those above."""
        server = _Server(request.nexthop, context)
        messages = [message for message in request.messages if message.recipients]
        try:
            targets = server.targets()
        except MxError as error:
            # An administrator has named the server: its absence says nothing about the mail.
            yield from same_for_all(messages, Reply(451, "4.4.4", str(error)), unreachable=True)
            return
        if all(map(_is_here, targets)):
            # What does not leave this machine needs no TLS, not even when its sender demands it.
            waiting = deque(messages)
            opener = _Opener(server.connector(targets, Tls.NONE))
            yield from hand_over(waiting, opener, context, waiting)
            return
        protected = deque(each for each in messages if each.requiretls)
        waiting = deque(each for each in messages if not each.requiretls)
        opener = _Opener(server.connector(targets))
        yield from hand_over(waiting, opener, context, protected)
        opener = _Opener(server.connector(targets, requiretls=True))
        yield from hand_over(protected, opener, context)


class _Server:
    """The server of a next hop."""

    def __init__(self, nexthop: str, context: DeliveryContext) -> None:
        self._nexthop = nexthop
        self._context = context
        self._resolver: DnsResolver | None = None
        place = nexthop.removeprefix(_PREFIX)
        self._path = place if place.startswith("/") else ""
        host, port = ("", 0) if self._path else _parse_host(place)
        self._hop = Nexthop(host, port, Tls.OPPORTUNISTIC, relay=True, lmtp=True)

    def targets(self) -> list[Target]:
        """Its addresses, in the order to try them. Raises MxError.

        No MX is asked for: it names who takes mail from everywhere.
        """
        if self._path:
            return [Target(self._context.hostname, self._path)]
        host = self._hop.host
        if host == _LOCALHOST:
            return targets_of([_LOOPBACK])
        literal = literal_address(host)
        return targets_of([MxHost(host, (literal,) if literal else self._look_up(host), -1)])

    def _look_up(self, host: str) -> tuple[str, ...]:
        self._resolver = DnsResolver(self._context.dns)
        addresses = tuple(self._resolver.addresses(host))
        if not addresses:
            raise NoAddress(f"{host} has no address")
        return addresses

    def connector(
        self,
        targets: Sequence[Target],
        tls: Tls = Tls.OPPORTUNISTIC,
        *,
        requiretls: bool = False,
    ) -> Connector:
        hop = replace(self._hop, tls=tls)
        route = _IN_CLEAR if tls is Tls.NONE else None
        security = Security(
            hop.host, hop.port, self._context, self._resolver, relay=True, route=route
        )
        return Connector(targets, hop, self._context, security, requiretls=requiretls)


def _parse_host(place: str) -> tuple[str, int]:
    """(host, port) of "HOST[:PORT]"; a bare address gets its brackets. Raises ValueError."""
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = place, str(PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{place!r} is not the place of an LMTP server")
    return (f"[{host}]" if is_ip(host) else host), int(port)


class _Opener:
    """Sessions with a server of mailboxes."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def connect(self) -> Connection:
        """Raises Refused, always with a temporary reply, and Unreachable.

        A server that wants nothing to do with us, or speaks plain SMTP, tells of our
        configuration and not of the mail.
        """
        try:
            connection = self._connector.connect()
        except Refused as refused:
            said = f"no LMTP session: {refused.reply}"
            raise Refused(Reply(451, "4.3.5", said), refused.remote, refused.command) from refused
        offered = connection.client.offered
        connection.client.offered = {word: offered[word] for word in offered if word in _USED}
        connection.is_final = True
        return connection


def _is_here(target: Target) -> bool:
    return target.is_socket or ip_address(target.address).is_loopback
