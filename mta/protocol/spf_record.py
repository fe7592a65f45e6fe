"""The grammar of an SPF record (RFC 7208 4.6.1, 5, 6, 12), apart from what it asks the DNS.

One error anywhere spoils the whole record, also where evaluation would not have come to it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

from mta.protocol.spf_macro import (
    MacroString,
    SpfSyntaxError,
    parse_domain_spec,
    parse_macro_string,
)

_VERSION = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)\Z", re.DOTALL)
_DIRECTIVE = re.compile(r"([-+?~]?)([A-Za-z][A-Za-z0-9_.-]*)(?::(.+)|(/.+))?\Z", re.DOTALL)
_LENGTHS = re.compile(r"(.*?)(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?\Z", re.DOTALL)
_NETWORK = re.compile(r"([^/%]*)(?:/(0|[1-9][0-9]{0,2}))?\Z")


class Mechanism(StrEnum):
    ALL = "all"
    INCLUDE = "include"
    A = "a"
    MX = "mx"
    PTR = "ptr"
    IP4 = "ip4"
    IP6 = "ip6"
    EXISTS = "exists"


_NEEDS_ARGUMENT = {Mechanism.INCLUDE, Mechanism.EXISTS, Mechanism.IP4, Mechanism.IP6}
_TAKES_LENGTHS = {Mechanism.A, Mechanism.MX}


@dataclass(frozen=True, slots=True)
class Directive:
    """One mechanism with its qualifier; `text` is how the record has it.

    `target` is None where the mechanism means the domain itself.
    """

    text: str
    qualifier: str
    mechanism: Mechanism
    target: MacroString | None = None
    network: IPv4Network | IPv6Network | None = None
    ip4_length: int = 32
    ip6_length: int = 128


@dataclass(frozen=True, slots=True)
class Record:
    directives: tuple[Directive, ...]
    redirect: MacroString | None
    explanation: MacroString | None


def is_spf(text: str) -> bool:
    """Whether a TXT record claims to be an SPF record of version 1 (RFC 7208 4.5)."""
    return _VERSION.match(text) is not None


def parse(text: str) -> Record:
    """`text` is a whole TXT record for which `is_spf` holds. Raises SpfSyntaxError."""
    directives = []
    modifiers: dict[str, MacroString] = {}
    for term in filter(None, text.split(" ")[1:]):
        modifier = _MODIFIER.match(term)
        if modifier is None:
            directives.append(_directive(term))
        else:
            _add_modifier(modifiers, modifier[1].lower(), modifier[2])
    return Record(tuple(directives), modifiers.get("redirect"), modifiers.get("exp"))


def _add_modifier(modifiers: dict[str, MacroString], name: str, value: str) -> None:
    if name not in ("redirect", "exp"):
        parse_macro_string(value)
        return
    if name in modifiers:
        raise SpfSyntaxError(f"{name}= stands twice")
    modifiers[name] = parse_domain_spec(value)


def _directive(term: str) -> Directive:
    match = _DIRECTIVE.match(term)
    if match is None:
        raise SpfSyntaxError(f"{term!r} is neither a mechanism nor a modifier")
    qualifier, name, argument, lengths = match.groups(default="")
    try:
        mechanism = Mechanism(name.lower())
    except ValueError:
        raise SpfSyntaxError(f"{term!r} is not a mechanism") from None
    if mechanism in _TAKES_LENGTHS:
        return _with_lengths(term, qualifier, mechanism, argument, lengths)
    if lengths or (mechanism is Mechanism.ALL and argument):
        raise SpfSyntaxError(f"{term!r} has what {mechanism} does not take")
    if mechanism in _NEEDS_ARGUMENT and not argument:
        raise SpfSyntaxError(f"{term!r} lacks its argument")
    if mechanism in (Mechanism.IP4, Mechanism.IP6):
        return Directive(term, qualifier, mechanism, network=_network(term, argument, mechanism))
    return Directive(term, qualifier, mechanism, target=_target(argument))


def _with_lengths(
    term: str, qualifier: str, mechanism: Mechanism, argument: str, lengths: str
) -> Directive:
    """A mechanism of the form "a:domain/24//64", of which each part may be missing."""
    match = _LENGTHS.match(argument or lengths)
    if match is None or bool(match[1]) is not bool(argument):
        raise SpfSyntaxError(f"{term!r} has a malformed domain or prefix length")
    ip4_length, ip6_length = int(match[2] or 32), int(match[3] or 128)
    if ip4_length > 32 or ip6_length > 128:
        raise SpfSyntaxError(f"{term!r} has a prefix length out of range")
    return Directive(
        term,
        qualifier,
        mechanism,
        target=_target(match[1]),
        ip4_length=ip4_length,
        ip6_length=ip6_length,
    )


def _target(argument: str) -> MacroString | None:
    return parse_domain_spec(argument) if argument else None


def _network(term: str, text: str, mechanism: Mechanism) -> IPv4Network | IPv6Network:
    match = _NETWORK.match(text)
    if match is None:
        raise SpfSyntaxError(f"{term!r} is not a network")
    kind = IPv4Address if mechanism is Mechanism.IP4 else IPv6Address
    try:
        address = kind(match[1])
        length = int(match[2]) if match[2] else address.max_prefixlen
        return ip_network((str(address), length), strict=False)
    except ValueError:
        raise SpfSyntaxError(f"{term!r} is not a network") from None
