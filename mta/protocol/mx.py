"""Which hosts take the mail of a domain, in the order to try them (RFC 5321 5.1, RFC 7505).

The rules are Courier's: one MX that is an IP address spoils the whole domain, hosts that do not
resolve are skipped, and a domain whose best MX is ourselves is a loop. The lookups themselves
are behind `Resolver`; `mta.protocol.dns_resolver` is the one that asks the real DNS.
"""

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Protocol

# A domain may list any number of MX; no sender needs more working ones than this.
MAX_HOSTS = 10
MAX_NAMES_LOOKED_UP = 30


class MxError(Exception):
    """No host to try. `code` and `status` are those of the reply that this deserves."""

    code: ClassVar[int] = 550
    status: ClassVar[str] = "5.4.4"

    @property
    def permanent(self) -> bool:
        return self.code >= 500


class BrokenMx(MxError):
    """The domain's records can never work: an MX that is an IP address, names without address."""


class CnameLoop(BrokenMx):
    """The chain of aliases has no end."""


class NoAddress(BrokenMx):
    """No mail host of the domain has an address."""


class NoSuchDomain(MxError):
    """NXDOMAIN."""

    status = "5.1.2"


class NullMx(MxError):
    """The domain says that it takes no mail (RFC 7505)."""

    code = 556
    status = "5.1.10"


class RoutingLoop(MxError):
    """The best MX is this very server, which does not know the domain as its own."""

    code = 554
    status = "5.4.6"


class DnsTrouble(MxError):
    """No answer now; later there may be one."""

    code = 451
    status = "4.4.3"


class Resolver(Protocol):
    """The two questions that routing asks the DNS. Names are ASCII, without the last dot.

    Both follow aliases, give an empty list for "no such record", and raise NoSuchDomain,
    CnameLoop or DnsTrouble.
    """

    def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """(preference, host) pairs in any order; the null MX has the host ""."""

    def addresses(self, name: str) -> Sequence[str]:
        """IP addresses in the order to try them."""


@dataclass(frozen=True, slots=True)
class MxHost:
    """A host to try. `preference` is -1 for a domain that has no MX and is its own host."""

    name: str
    addresses: tuple[str, ...]
    preference: int


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def literal_address(domain: str) -> str:
    """The IP address in an address literal "[192.0.2.1]" or "[IPv6:...]", "" for anything else."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return ""
    inner = domain[1:-1]
    inner = inner[5:] if inner.lower().startswith("ipv6:") else inner
    return inner if is_ip(inner) else ""


def is_local_address(address: str) -> bool:
    """Whether a connection to `address` would come back to this machine.

    Binding tells for every interface without a list of them; nothing is sent.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True


def is_never_local(address: str) -> bool:
    """For relays that an administrator chose: those may well be on this machine."""
    return False


def resolve(
    domain: str,
    resolver: Resolver,
    *,
    ourselves: frozenset[str] = frozenset(),
    is_local: Callable[[str], bool] = is_local_address,
    shuffle: Callable[[list[MxHost]], None] = random.shuffle,
) -> list[MxHost]:
    """The hosts for `domain`, best first, each with at least one address. Raises MxError.

    `ourselves` holds our own host names in lower case; `is_local` tells our own addresses.
    """
    address = literal_address(domain)
    if address:
        if is_local(address):
            raise RoutingLoop(f"{domain} is an address of this server, which has no such domain")
        return [MxHost(domain, (address,), -1)]
    if is_ip(domain):
        raise BrokenMx(f"{domain} is an IP address, not a domain")
    names = _mail_exchangers(domain, resolver)
    hosts, trouble = _with_addresses(names, resolver)
    hosts = _without_ourselves(domain, names, hosts, ourselves, is_local)
    if not hosts:
        raise trouble or NoAddress(f"no mail host of {domain} has an address")
    return _in_random_order(hosts, shuffle)


def _mail_exchangers(domain: str, resolver: Resolver) -> list[tuple[int, str]]:
    """(preference, name) pairs, best first; the domain itself when it has no MX."""
    try:
        records = sorted((preference, name.lower()) for preference, name in resolver.mx(domain))
    except NoSuchDomain:
        # Some servers deny the name when asked for MX although it has an address.
        records = []
    if not records:
        return [(-1, domain.lower())]
    for _, name in records:
        if is_ip(name):
            raise BrokenMx(f"the MX {name} of {domain} is an IP address, against RFC 1035 3.3.9")
    names = [(preference, name) for preference, name in records if name]
    if not names:
        raise NullMx(f"{domain} does not take mail")
    return names


def _with_addresses(
    names: Sequence[tuple[int, str]], resolver: Resolver
) -> tuple[list[MxHost], MxError | None]:
    """The hosts that resolve, and the error to report should none be left.

    A temporary error outweighs the permanent ones: the host may resolve next time.
    """
    hosts: list[MxHost] = []
    trouble: MxError | None = None
    for preference, name in names[:MAX_NAMES_LOOKED_UP]:
        try:
            addresses = tuple(resolver.addresses(name))
        except MxError as error:
            if trouble is None or not error.permanent:
                trouble = error
            continue
        if addresses:
            hosts.append(MxHost(name, addresses, preference))
        if len(hosts) == MAX_HOSTS:
            break
    return hosts, trouble


def _without_ourselves(
    domain: str,
    names: Sequence[tuple[int, str]],
    hosts: list[MxHost],
    ourselves: frozenset[str],
    is_local: Callable[[str], bool],
) -> list[MxHost]:
    """Only the hosts that are better than this server, where it is an MX itself (RFC 5321 5.1)."""
    local = [host.preference for host in hosts if any(map(is_local, host.addresses))]
    local += [preference for preference, name in names if name in ourselves]
    if not local:
        return hosts
    if min(local) == names[0][0]:
        raise RoutingLoop(
            f"mail for {domain} would come back to this server, which has no such domain"
        )
    return [host for host in hosts if host.preference < min(local)]


def _in_random_order(hosts: list[MxHost], shuffle: Callable[[list[MxHost]], None]) -> list[MxHost]:
    """Equal preference means that the load is to be shared."""
    ordered: list[MxHost] = []
    for _, equals in groupby(hosts, key=lambda host: host.preference):
        group = list(equals)
        shuffle(group)
        ordered += group
    return ordered
