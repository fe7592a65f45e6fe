"""Two questions about names that a client gives: could mail to this domain ever be delivered,
and does the client answer to its HELO name? The MX rules are those of `mta.protocol.mx`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from mta.protocol.dns_questions import (
    PolicyResolver,
    client_address,
    has_address,
    same_family,
)
from mta.protocol.mx import (
    BrokenMx,
    CnameLoop,
    DnsTrouble,
    MxError,
    NoAddress,
    NoSuchDomain,
    NullMx,
    Resolver,
    is_ip,
    is_never_local,
    literal_address,
    resolve,
)
from mta.protocol.printable import printable

MAX_TEXT = 400


class DomainOutcome(StrEnum):
    OK = "ok"
    NO_SUCH_DOMAIN = "no such domain"
    BROKEN_MX = "broken MX"
    CNAME_LOOP = "CNAME loop"
    NULL_MX = "null MX"
    NO_ADDRESS = "no address"
    TROUBLE = "DNS trouble"


class HeloOutcome(StrEnum):
    OK = "ok"
    MISMATCH = "mismatch"
    NONEXISTENT = "nonexistent"
    CNAME_LOOP = "CNAME loop"
    TROUBLE = "DNS trouble"


@dataclass(frozen=True, slots=True)
class SenderDomain:
    """`text` is for the reply, "" when all is well; `addresses` are those of the mail hosts."""

    outcome: DomainOutcome
    text: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeloName:
    """`text` is for the reply, "" when all is well; `addresses` are those that it leads to."""

    outcome: HeloOutcome
    text: str = ""
    addresses: tuple[str, ...] = ()


# The first that fits counts, so a kind stands before the kind it belongs to.
_DOMAIN_OUTCOMES: tuple[tuple[type[MxError], DomainOutcome], ...] = (
    (CnameLoop, DomainOutcome.CNAME_LOOP),
    (NoAddress, DomainOutcome.NO_ADDRESS),
    (BrokenMx, DomainOutcome.BROKEN_MX),
    (NoSuchDomain, DomainOutcome.NO_SUCH_DOMAIN),
    (NullMx, DomainOutcome.NULL_MX),
    (DnsTrouble, DomainOutcome.TROUBLE),
)


def mail_hosts(domain: str, resolver: Resolver) -> SenderDomain:
    """Whether a report to this domain could be delivered, for the check of the reverse-path.

    Address literals are taken as they are.
    """
    try:
        hosts = resolve(domain, resolver, is_local=is_never_local)
    except MxError as error:
        return SenderDomain(_outcome(error), printable(str(error), MAX_TEXT))
    found = {address: None for host in hosts for address in host.addresses}
    return SenderDomain(DomainOutcome.OK, addresses=tuple(found))


def _outcome(error: MxError) -> DomainOutcome:
    return next(outcome for kind, outcome in _DOMAIN_OUTCOMES if isinstance(error, kind))


def helo_matches(helo: str, client_ip: str, resolver: PolicyResolver) -> HeloName:
    """Whether the HELO name, or one of its mail hosts, has the client's address.

    A null MX says nothing about the host that sends. Raises ValueError when `client_ip` is no
    address.
    """
    client = client_address(client_ip)
    name = helo.removesuffix(".")
    if _is_address(name, client):
        return HeloName(HeloOutcome.OK)
    dns = _OneFamily(resolver, client)
    own = () if is_ip(name) or literal_address(name) else dns.try_addresses(name)
    if has_address(own, client):
        return HeloName(HeloOutcome.OK, addresses=own)
    mail = mail_hosts(name, dns)
    found = tuple(dict.fromkeys(own + mail.addresses))
    if has_address(mail.addresses, client):
        return HeloName(HeloOutcome.OK, addresses=found)
    return _not_the_client(name, client, mail, found, dns.trouble)


def _not_the_client(
    name: str,
    client: IPv4Address | IPv6Address,
    mail: SenderDomain,
    found: tuple[str, ...],
    trouble: str,
) -> HeloName:
    if trouble:
        return HeloName(HeloOutcome.TROUBLE, printable(trouble, MAX_TEXT), found)
    if mail.outcome is DomainOutcome.CNAME_LOOP:
        return HeloName(HeloOutcome.CNAME_LOOP, mail.text, found)
    if mail.outcome is DomainOutcome.NO_SUCH_DOMAIN:
        return HeloName(HeloOutcome.NONEXISTENT, mail.text, found)
    shown = printable(name, MAX_TEXT)
    return HeloName(HeloOutcome.MISMATCH, f"{client} is not an address of {shown}", found)


def _is_address(name: str, client: IPv4Address | IPv6Address) -> bool:
    address = name if is_ip(name) else literal_address(name)
    return bool(address) and client_address(address) == client


class _OneFamily:
    """A resolver for addresses that could equal the client's, which remembers any trouble.

    As long as one address is unknown for the moment, the name must not be refused for good.
    """

    def __init__(self, resolver: PolicyResolver, client: IPv4Address | IPv6Address) -> None:
        self._resolver = resolver
        self._client = client
        self.trouble = ""

    def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        try:
            return self._resolver.mx(domain)
        except DnsTrouble as error:
            self.trouble = str(error)
            raise

    def addresses(self, name: str) -> Sequence[str]:
        try:
            return same_family(name, self._client, self._resolver)
        except DnsTrouble as error:
            self.trouble = str(error)
            raise

    def try_addresses(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(self.addresses(name))
        except MxError:
            return ()
