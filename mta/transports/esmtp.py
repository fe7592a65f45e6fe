"""The esmtp transport: mail for other hosts, found by MX or named by a route (step 6).

One request is one session as long as the peer plays along. All that goes wrong on the network
is an outcome; exceptions are for faults of our own.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

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
)
from mta.transports.esmtp_connect import Connector, Nexthop, Tls, parse_nexthop, targets_of
from mta.transports.esmtp_handover import hand_over, same_for_all
from mta.transports.esmtp_security import Demand, Level, Security

MX_PORT = 25

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
        messages = [message for message in request.messages if message.recipients]
        try:
            connector = self.connectors(request.nexthop, context)
        except MxError as error:
            reply = Reply(error.code, error.status, str(error))
            yield from same_for_all(messages, reply, unreachable=True)
            return
        protected = deque(each for each in messages if each.requiretls)
        waiting = deque(each for each in messages if not each.requiretls)
        yield from hand_over(waiting, connector(), context, protected)
        yield from hand_over(protected, connector(requiretls=True), context)

    def connectors(self, word: str, context: DeliveryContext) -> Callable[..., Connector]:
        """Makes what opens sessions with a next hop; `requiretls` as for a `Connector`. Raises
        MxError, ValueError."""
        nexthop = parse_nexthop(word, self._mx_port)
        # Without any name servers this is trouble with the DNS, too.
        resolver = None if _is_loopback(nexthop) else DnsResolver(context.dns)
        targets = targets_of(self._hosts(nexthop, context, resolver), nexthop.ip_version)
        security = Security(
            nexthop.host,
            nexthop.port,
            context,
            resolver,
            relay=nexthop.relay,
            route=_demand_of(nexthop),
        )
        return partial(Connector, targets, nexthop, context, security)

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
