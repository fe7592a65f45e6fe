"""The esmtp transport: mail for other hosts, found by MX or named by a route (step 6).

One request is one session as long as the peer plays along. All that goes wrong on the network
is an outcome; exceptions are for faults of our own.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from mta.protocol import status
from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.mx import MxError, MxHost, is_local_address, is_never_local, resolve
from mta.protocol.reply import Reply
from mta.protocol.tls_result import PolicyType
from mta.transports.base import (
    AddressBook,
    DeliveryContext,
    DeliveryRequest,
    Done,
    Outcome,
    Pool,
    QueuedMessage,
    Result,
)
from mta.transports.esmtp_connect import (
    Connector,
    Nexthop,
    Refused,
    Tls,
    Unreachable,
    parse_nexthop,
    targets_of,
)
from mta.transports.esmtp_security import Demand, Level, Security
from mta.transports.esmtp_session import Session, with_status

MX_PORT = 25

# A peer may close after each message, but not before the first one time and again.
_MAX_FRUITLESS = 2
_LOOPBACK = (MxHost("localhost", ("127.0.0.1", "::1"), -1),)


class Esmtp:
    """`mx_port` and `is_local` are for tests, which have neither port 25 nor foreign addresses."""

    name = "esmtp"
    priority = 50
    limit = 0
    batch = 100
    pool = Pool.REMOTE
    done = Done.RELAYED

    def __init__(
        self, mx_port: int = MX_PORT, is_local: Callable[[str], bool] = is_local_address
    ) -> None:
        self._mx_port = mx_port
        self._is_local = is_local

    def claim(self, address: str, book: AddressBook) -> str | None:
        nexthop = book.nexthop(address)
        return nexthop if nexthop.startswith(("mx:", "relay:")) else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        """Raises ValueError for a next hop that `policy.routing` cannot have written."""
        nexthop = parse_nexthop(request.nexthop, self._mx_port)
        messages = [message for message in request.messages if message.recipients]
        try:
            # Without any name servers this is trouble with the DNS, too.
            resolver = None if _is_loopback(nexthop) else DnsResolver(context.dns)
            targets = targets_of(self._hosts(nexthop, context, resolver), nexthop.ip_version)
        except MxError as error:
            reply = Reply(error.code, error.status, str(error))
            yield from _same_for_all(messages, reply, unreachable=True)
            return
        security = Security(
            nexthop.host,
            nexthop.port,
            context,
            resolver,
            relay=nexthop.relay,
            route=_demand_of(nexthop),
        )
        protected = deque(each for each in messages if each.requiretls)
        waiting = deque(each for each in messages if not each.requiretls)
        connector = Connector(targets, nexthop, context, security)
        yield from _deliver_all(waiting, connector, context, protected)
        connector = Connector(targets, nexthop, context, security, requiretls=True)
        yield from _deliver_all(protected, connector, context)

    def _hosts(
        self, nexthop: Nexthop, context: DeliveryContext, resolver: DnsResolver | None
    ) -> Sequence[MxHost]:
        """Raises MxError. A relay is the administrator's word and may be on this machine."""
        if resolver is None:
            return _LOOPBACK
        ourselves = frozenset() if nexthop.relay else frozenset({context.hostname.lower()})
        is_local = is_never_local if nexthop.relay else self._is_local
        return resolve(nexthop.host, resolver, ourselves=ourselves, is_local=is_local)


def _demand_of(nexthop: Nexthop) -> Demand | None:
    """What the route itself asks for, None when it leaves that to the host's own policies."""
    if nexthop.verified:
        return Demand(PolicyType.ROUTE, Level.AUTHENTICATED, Level.AUTHENTICATED)
    if nexthop.tls is Tls.NONE:
        return Demand(PolicyType.ROUTE, Level.CLEAR, Level.CLEAR)
    if nexthop.tls is Tls.OPPORTUNISTIC:
        return None
    return Demand(PolicyType.ROUTE, Level.ENCRYPTED, Level.ENCRYPTED)


def _is_loopback(nexthop: Nexthop) -> bool:
    return nexthop.relay and nexthop.host == "localhost"


def _deliver_all(
    waiting: deque[QueuedMessage],
    connector: Connector,
    context: DeliveryContext,
    protected: deque[QueuedMessage] | None = None,
) -> Iterator[Outcome]:
    """Over as many connections as the peer wants it to take. With `protected` an open session
    goes on with more messages; those that demand REQUIRETLS are put there for a session of
    their own."""
    fruitless = 0
    # What holds for a peer that must prove its name says nothing about plain mail.
    plain = protected is not None
    while waiting and fruitless < _MAX_FRUITLESS and not context.stopping():
        try:
            session = Session(connector.connect(), context)
        except Refused as error:
            yield from _same_for_all(
                waiting, error.reply, error.remote, error.command, unreachable=plain
            )
            return
        except Unreachable as error:
            reply = Reply(error.cause.code, error.cause.status, str(error))
            yield from _same_for_all(waiting, reply, error.remote, unreachable=plain)
            return
        yield from _use(session, waiting, context, protected)
        fruitless = 0 if session.fruitful else fruitless + 1
    if not context.stopping():
        lost = Reply(451, status.BAD_CONNECTION, "the peer keeps breaking the connection")
        yield from _same_for_all(waiting, lost)


def _use(
    session: Session,
    waiting: deque[QueuedMessage],
    context: DeliveryContext,
    protected: deque[QueuedMessage] | None,
) -> Iterator[Outcome]:
    """Send what waits over one session until it is over; what it did not try waits again."""
    try:
        while waiting and session.open and not context.stopping():
            yield from session.deliver(waiting.popleft())
            if session.unsent is not None:
                waiting.appendleft(session.unsent)
            if not waiting and session.open and protected is not None:
                for message in context.more():
                    (protected if message.requiretls else waiting).append(message)
    except BaseException:
        session.close()
        raise
    session.end()


def _same_for_all(
    messages: Iterable[QueuedMessage],
    reply: Reply,
    remote: str = "",
    command: str = "",
    *,
    unreachable: bool = False,
) -> Iterator[Outcome]:
    result = Result.BOUNCED if reply.is_permanent else Result.DEFERRED
    for message in messages:
        for recipient in message.recipients:
            yield Outcome(
                recipient.id,
                result,
                with_status(reply),
                remote=remote,
                command=command,
                unreachable=unreachable and result is Result.DEFERRED,
            )
