"""Evaluation of SPF records (RFC 7208 4 to 6), within the limits of 4.6.4.

A record is a program written by a stranger and run by us: its lookups are counted, and so are
those that find nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeVar

from mta.protocol.dns_questions import (
    PolicyResolver,
    has_address,
    same_family,
)
from mta.protocol.mx import DnsTrouble, MxError
from mta.protocol.printable import printable
from mta.protocol.spf_macro import (
    MAX_NAME,
    MacroString,
    SpfSyntaxError,
    asks_for,
    expand,
    expand_domain,
    parse_explanation,
)
from mta.protocol.spf_record import Directive, Mechanism, Record, is_spf, parse

MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
MAX_NAMES = 10
# Characters; what a stranger wrote stands in replies and in the log.
MAX_TEXT = 400

_Answer = TypeVar("_Answer")


class Result(StrEnum):
    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_QUALIFIERS = {
    "": Result.PASS,
    "+": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """Who is judged: `local`@`domain` as the sender, at `client`. `hostname` is ours."""

    client: IPv4Address | IPv6Address
    local: str
    domain: str
    helo: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`mechanism` is the term that decided, `explanation` the domain's words for a fail."""

    result: Result
    mechanism: str = ""
    explanation: str = ""
    problem: str = ""


class _PermanentError(Exception):
    pass


class _TemporaryError(Exception):
    pass


class Evaluation:
    """check_host() of RFC 7208 4, once; the limits hold for all records together."""

    def __init__(self, facts: Facts, resolver: PolicyResolver) -> None:
        self._facts = facts
        self._resolver = resolver
        self._lookups = 0
        self._void_lookups = 0
        self._client_names: list[str] | None = None

    def judge(self) -> Finding:
        if not _can_have_a_record(self._facts.domain):
            return Finding(Result.NONE)
        try:
            return self._check_host(self._facts.domain)
        except _TemporaryError as error:
            return Finding(Result.TEMPERROR, problem=shown(str(error)))
        except (_PermanentError, SpfSyntaxError) as error:
            return Finding(Result.PERMERROR, problem=shown(str(error)))

    def _check_host(self, domain: str, *, included: bool = False) -> Finding:
        record = self._record(domain)
        if record is None:
            return Finding(Result.NONE)
        for directive in record.directives:
            if self._matches(directive, domain):
                finding = Finding(_QUALIFIERS[directive.qualifier], shown(directive.text))
                if finding.result is Result.FAIL and not included:
                    return replace(finding, explanation=self._explain(record, domain))
                return finding
        if record.redirect is not None:
            return self._redirect(record.redirect, domain, included)
        return Finding(Result.NEUTRAL, "default")

    def _record(self, domain: str) -> Record | None:
        try:
            texts = [text for text in self._resolver.txt(domain) if is_spf(text)]
        except DnsTrouble as error:
            raise _TemporaryError(str(error)) from error
        except MxError:
            return None
        if len(texts) > 1:
            raise _PermanentError(f"{domain} has {len(texts)} SPF records")
        return parse(texts[0]) if texts else None

    def _redirect(self, target: MacroString, domain: str, included: bool) -> Finding:
        self._count_lookup()
        name = self._name(target, domain)
        finding = self._check_host(name, included=included)
        if finding.result is Result.NONE:
            raise _PermanentError(f"{shown(name)}, to which it redirects, has no SPF record")
        return finding

    def _matches(self, directive: Directive, domain: str) -> bool:
        if directive.mechanism is Mechanism.ALL:
            return True
        if directive.network is not None:
            return self._facts.client in directive.network
        self._count_lookup()
        name = domain
        if directive.target is not None:
            name = self._name(directive.target, domain)
        match directive.mechanism:
            case Mechanism.INCLUDE:
                return self._includes(name)
            case Mechanism.A:
                return self._in_range(self._addresses(name), directive)
            case Mechanism.MX:
                return self._mx(name, directive)
            case Mechanism.PTR:
                return self._ptr(name)
            case Mechanism.EXISTS:
                return bool(self._ask(self._resolver.ipv4, name))
        raise AssertionError(directive.mechanism)

    def _includes(self, name: str) -> bool:
        finding = self._check_host(name, included=True)
        if finding.result is Result.NONE:
            raise _PermanentError(f"{shown(name)}, which it includes, has no SPF record")
        return finding.result is Result.PASS

    def _mx(self, name: str, directive: Directive) -> bool:
        hosts = [host for _, host in sorted(self._ask(self._resolver.mx, name)) if host]
        if len(hosts) > MAX_NAMES:
            raise _PermanentError(f"{shown(name)} has more than {MAX_NAMES} MX")
        return any(self._in_range(self._addresses(host), directive) for host in hosts)

    def _ptr(self, target: str) -> bool:
        return any(_is_within(name, target.lower()) for name in self._validated_names())

    def _validated_names(self) -> list[str]:
        """The client's names that lead back to it. A DNS error is no match (RFC 7208 5.5)."""
        if self._client_names is None:
            client = self._facts.client
            try:
                claimed = self._ask(self._resolver.ptr, str(client))[:MAX_NAMES]
            except _TemporaryError:
                claimed = ()
            self._client_names = [name for name in claimed if self._leads_back(name)]
        return self._client_names

    def _leads_back(self, name: str) -> bool:
        client = self._facts.client
        try:
            return has_address(same_family(name, client, self._resolver), client)
        except MxError:
            return False

    def _client_name(self, domain: str) -> str:
        """%{p}: the domain itself before a name below it before any other (RFC 7208 7.3)."""
        names = self._validated_names()
        below = [name for name in names if _is_within(name, domain.lower())]
        if domain.lower() in names:
            return domain
        return next(iter(below or names), "unknown")

    def _addresses(self, name: str) -> Sequence[str]:
        return self._ask(lambda name: same_family(name, self._facts.client, self._resolver), name)

    def _in_range(self, addresses: Sequence[str], directive: Directive) -> bool:
        client = self._facts.client
        length = directive.ip4_length if client.version == 4 else directive.ip6_length
        return any(client in ip_network((address, length), strict=False) for address in addresses)

    def _ask(self, question: Callable[[str], Sequence[_Answer]], name: str) -> Sequence[_Answer]:
        try:
            found = question(name)
        except DnsTrouble as error:
            raise _TemporaryError(str(error)) from error
        except MxError:
            found = ()
        if not found:
            self._void_lookups += 1
            if self._void_lookups > MAX_VOID_LOOKUPS:
                raise _PermanentError(f"more than {MAX_VOID_LOOKUPS} lookups found nothing")
        return found

    def _count_lookup(self) -> None:
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            raise _PermanentError(f"it takes more than {MAX_LOOKUPS} DNS lookups")

    def _explain(self, record: Record, domain: str) -> str:
        """Whatever is wrong with the explanation, there is none then (RFC 7208 6.2)."""
        if record.explanation is None:
            return ""
        try:
            texts = self._resolver.txt(self._name(record.explanation, domain))
            if len(texts) != 1 or not texts[0].isascii():
                return ""
            parts = parse_explanation(texts[0])
            text = expand(parts, self._macros(parts, domain))
        except (MxError, SpfSyntaxError, _PermanentError):
            return ""
        return shown(text)

    def _name(self, parts: MacroString, domain: str) -> str:
        return expand_domain(parts, self._macros(parts, domain))

    def _macros(self, parts: MacroString, domain: str) -> Mapping[str, str]:
        """The values for `parts`; the one that costs lookups only where it is wanted."""
        facts = self._facts
        return {
            "s": f"{facts.local}@{facts.domain}",
            "l": facts.local,
            "o": facts.domain,
            "d": domain,
            "i": _dotted(facts.client),
            "p": self._client_name(domain) if asks_for("p", parts) else "",
            "v": "in-addr" if facts.client.version == 4 else "ip6",
            "h": facts.helo,
            "c": str(facts.client),
            "r": facts.hostname,
            "t": str(int(time.time())),
        }


def _can_have_a_record(domain: str) -> bool:
    """RFC 7208 4.3: of more than one label, and none empty or too long; no address literal."""
    labels = domain.split(".")
    return (
        len(labels) > 1
        and len(domain) <= MAX_NAME
        and not domain.startswith("[")
        and all(0 < len(label) < 64 for label in labels)
    )


def _dotted(address: IPv4Address | IPv6Address) -> str:
    """IPv6 as nibbles (RFC 7208 7.3)."""
    if isinstance(address, IPv4Address):
        return str(address)
    return ".".join(address.exploded.replace(":", ""))


def _is_within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def shown(text: str) -> str:
    return printable(text, MAX_TEXT)
