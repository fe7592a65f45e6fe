"""DNS block and allow lists (RFC 5782): is this client listed, and as what?"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network

from mta.protocol.dns_questions import PolicyResolver, client_address
from mta.protocol.mx import CnameLoop, DnsTrouble, MxError, NoSuchDomain
from mta.protocol.printable import printable

# Anything else is a list that was abandoned to a domain dealer, or a name server that lies.
_LISTINGS = ip_network("127.0.0.0/8")
# How the big lists say that they do not serve us: blocked, misspelt zone, too many questions.
_ERRORS = ip_network("127.255.255.0/24")
MAX_TEXT = 300


@dataclass(frozen=True, slots=True)
class Listing:
    """`answers` are addresses in 127/8, sorted; `text` is the list's reason in printable ASCII,
    "" when it gives none."""

    zone: str
    answers: tuple[str, ...]
    text: str


def lookup(client_ip: str, zone: str, resolver: PolicyResolver) -> Listing | None:
    """None when the client is not listed. Raises DnsTrouble, and ValueError when `client_ip`
    is no address."""
    name = query_name(client_ip, zone)
    try:
        found = resolver.ipv4(name)
    except NoSuchDomain:
        return None
    except CnameLoop as error:
        raise DnsTrouble(f"the list {zone} is broken: {error}") from error
    answers = tuple(str(answer) for answer in sorted(map(IPv4Address, found)) if _counts(answer))
    return Listing(zone, answers, _reason(name, resolver)) if answers else None


def query_name(client_ip: str, zone: str) -> str:
    """ "2.0.0.127.list.example"; IPv6 in nibbles (RFC 5782 2.1, 2.4). Raises ValueError."""
    reverse = client_address(client_ip).reverse_pointer
    return f"{reverse.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone.strip('.')}"


def matches(answers: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether one answer is in one of the `wanted` addresses or prefixes; none wanted means any.

    Raises ValueError when a `wanted` is no prefix.
    """
    networks = [ip_network(prefix, strict=False) for prefix in wanted] or [_LISTINGS]
    return any(IPv4Address(answer) in network for answer in answers for network in networks)


def _counts(answer: IPv4Address) -> bool:
    return answer in _LISTINGS and answer not in _ERRORS


def _reason(name: str, resolver: PolicyResolver) -> str:
    """The listing stands without its reason, so no error here matters."""
    try:
        texts = sorted(resolver.txt(name))
    except MxError:
        return ""
    text = "; ".join(" ".join(text.split()) for text in texts if text)
    return printable(text, MAX_TEXT)
