"""Where an address goes: routes first, then MX (Courier's esmtproutes; spec 2.14).

A next hop is a word that a transport understands:

- ``""``: this host's mailboxes;
- ``mx:example.com``: the hosts DNS names for the domain;
- ``relay:HOST:PORT``: a configured relay;
- ``discard:``: dropped because a route says so;
- ``lmtp:...``, ``pipe:...``, ``http:...``, ``uucp:...``: what another transport takes
  (`mta.protocol.route_target`).

``mx:`` and ``relay:`` may end in options, in this order: ``/REQUIRED``, ``/STARTTLS``, ``/SMTPS``
or ``/NONE``; ``/IPV4ONLY`` or ``/IPV6ONLY``; ``/AUTH=N`` for the credentials of route N.

Which route applies: those for the sender's address are asked first, then those for its domain
(the name itself, then the nearest ".parent"), then those for all senders; the first of these that
has one for the recipient's domain decides.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from mta.policy.facts import DomainKind, Policy, RouteFact, parents
from mta.protocol import address as addresses
from mta.protocol.route_target import is_target

DISCARD = "discard"
EVERYTHING = "*"


def nexthop(address: str, policy: Policy, sender: str = "") -> str:
    """The next hop of an address; "" for a domain whose mail ends here."""
    route = applied_route(address, policy, sender)
    if route is not None and route.relay:
        return _word(route)
    domain = addresses.split(address)[1]
    if _ends_here(domain, policy):
        return ""
    return f"mx:{domain}{_options(route)}" if route else f"mx:{domain}"


def applied_route(address: str, policy: Policy, sender: str = "") -> RouteFact | None:
    """The route that applies to mail from `sender`, the reverse-path, to an address."""
    domain = addresses.split(address)[1]
    here = _ends_here(domain, policy)
    for routes in _in_order(policy, sender):
        route = find_route(domain, routes)
        # A smarthost is for mail that leaves, and so is "as the MX says": only a relay of its own
        # takes a hosted domain away.
        if route is not None and not (here and (route.domain == EVERYTHING or not route.relay)):
            return route
    return None


def find_route(domain: str, routes: Mapping[str, RouteFact]) -> RouteFact | None:
    """The domain's own route, else the nearest ".parent", else "*"."""
    if not routes:
        return None
    for name in (domain, *parents(domain), EVERYTHING):
        route = routes.get(name)
        if route is not None:
            return route
    return None


def route_text(route: RouteFact) -> str:
    """A route for people: "*: relay.example:25", with the words that say why and how."""
    relay = route.relay or "its MX"
    has_port = route.port and route.relay not in ("", DISCARD) and not is_target(route.relay)
    port = f":{route.port}" if has_port else ""
    whose = f" (for mail from {route.sender})" if route.sender else ""
    signed_in = ", signs in" if route.credentials else ""
    return f"{route.domain}{whose}: {relay}{port}{signed_in}"


def _in_order(policy: Policy, sender: str) -> Iterator[Mapping[str, RouteFact]]:
    if sender and policy.sender_routes:
        sender = sender.lower()
        domain = addresses.split(sender)[1]
        for name in (sender, domain, *parents(domain)):
            if name in policy.sender_routes:
                yield policy.sender_routes[name]
    yield policy.routes


def _ends_here(domain: str, policy: Policy) -> bool:
    return policy.domain_kind(domain) in (DomainKind.HOSTED, DomainKind.LOCAL)


def _word(route: RouteFact) -> str:
    if route.relay == DISCARD:
        return f"{DISCARD}:"
    if is_target(route.relay):
        return route.relay
    return relay_word(route.relay, route.port) + _options(route)


def relay_word(host: str, port: int = 0, security: str = "") -> str:
    """The next hop for a relay; port 0 stands for 25."""
    return f"relay:{host}:{port or 25}{f'/{security}' if security else ''}"


def _options(route: RouteFact) -> str:
    credentials = f"AUTH={route.credentials}" if route.credentials else ""
    options = (route.security, route.ip_version, credentials)
    return "".join(f"/{option}" for option in options if option)


class Claimant(Protocol):
    """A transport as routing sees it."""

    name: str

    def claim(self, address: str, book: Any, /) -> str | None: ...


def choose(address: str, claimants: Iterable[Claimant], book: object) -> tuple[str, str] | None:
    """(transport, next hop) of the first claimant that takes the address; None when none does."""
    for claimant in claimants:
        hop = claimant.claim(address, book)
        if hop is not None:
            return claimant.name, hop
    return None
