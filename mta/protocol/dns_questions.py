"""What policy asks the DNS besides the questions of routing, and about whom it asks.

Every lookup of policy concerns a client's address; here it gets its one canonical form, so that
an IPv4 client on an IPv6 socket is judged by its IPv4 address.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from mta.protocol.mx import Resolver


class PolicyResolver(Resolver, Protocol):
    """The questions of policy. Names are ASCII, without the last dot, and may be garbage.

    All follow aliases, give an empty sequence for "no such record", and raise NoSuchDomain,
    CnameLoop or DnsTrouble, nothing else. A name that cannot exist is NoSuchDomain.
    """

    def ipv4(self, name: str) -> Sequence[str]:
        """The A records."""

    def ipv6(self, name: str) -> Sequence[str]:
        """The AAAA records."""

    def txt(self, name: str) -> Sequence[str]:
        """The TXT records, the strings of each joined; one character for one octet."""

    def ptr(self, address: str) -> Sequence[str]:
        """The names of an IP address, as its owner claims them."""


def client_address(text: str) -> IPv4Address | IPv6Address:
    """IPv4-mapped becomes IPv4, and a link-local scope is dropped. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def same_family(
    name: str, address: IPv4Address | IPv6Address, resolver: PolicyResolver
) -> Sequence[str]:
    """The addresses of `name` that could equal `address`. Raises MxError."""
    return resolver.ipv4(name) if address.version == 4 else resolver.ipv6(name)


def has_address(addresses: Sequence[str], wanted: IPv4Address | IPv6Address) -> bool:
    return any(client_address(address) == wanted for address in addresses)
