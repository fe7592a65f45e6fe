"""Where an address goes: routes first, then MX (Courier's esmtproutes; spec 2.14).

A next hop is a word that a transport understands:

- ``""``: this host's mailboxes;
- ``mx:example.com``: the hosts DNS names for the domain;
- ``relay:HOST:PORT`` with ``/REQUIRED`` or ``/SMTPS``: a configured relay;
- ``discard:``: dropped because a route says so.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from mta.policy.facts import DomainKind, Policy, RouteFact, parents
from mta.protocol import address as addresses

DISCARD = "discard"


def nexthop(address: str, policy: Policy) -> str:
    """The next hop of an address; "" for a domain whose mail ends here."""
    domain = addresses.split(address)[1]
    route = find_route(domain, policy.routes)
    if policy.domain_kind(domain) in (DomainKind.HOSTED, DomainKind.LOCAL):
        # A smarthost is for mail that leaves; only a route of its own takes a hosted domain away.
        return "" if route is None or route.domain == "*" else _word(route)
    return f"mx:{domain}" if route is None else _word(route)


def find_route(domain: str, routes: Mapping[str, RouteFact]) -> RouteFact | None:
    """The domain's own route, else the nearest ".parent", else "*"."""
    if not routes:
        return None
    for name in (domain, *parents(domain), "*"):
        route = routes.get(name)
        if route is not None:
            return route
    return None


def route_text(route: RouteFact) -> str:
    """A route for people: "*: relay.example:25"."""
    return f"{route.domain}: {route.relay}" + (f":{route.port}" if route.port else "")


def _word(route: RouteFact) -> str:
    if route.relay == DISCARD:
        return f"{DISCARD}:"
    return relay_word(route.relay, route.port, route.security)


def relay_word(host: str, port: int = 0, security: str = "") -> str:
    """The next hop for a relay; port 0 stands for 25."""
    return f"relay:{host}:{port or 25}{f'/{security}' if security else ''}"


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
