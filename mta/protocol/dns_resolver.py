"""The DNS as `mta.protocol.mx` and the checks of policy ask it, by dnspython (RFC 1035).

The time for all lookups of one resolver together is bounded, so make one for each delivery or
session; no single lookup may eat more than a part of it. Sessions may share one cache. Names
come from strangers: one that cannot exist does not exist, whatever is wrong with it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from mta.protocol.dns_cache import NEGATIVE, POSITIVE, TROUBLE, AnswerCache
from mta.protocol.mx import CnameLoop, DnsTrouble, MxError, NoSuchDomain
from mta.protocol.tlsa import TlsaRecord

LIFETIME = 10.0
_SHARE_OF_ONE_LOOKUP = 0.4
_TRIES_OF_ONE_LOOKUP = 2
_MAX_ALIASES = 8
# AD in a query asks for AD in the answer (RFC 6840 5.7).
_QUERY_FLAGS = dns.flags.RD | dns.flags.AD
_MAX_KEPT_RECORDS = 100
_MAX_KEPT_TEXT = 4096


class OutOfTime(DnsTrouble):
    """Our own patience ended, which says nothing about the name."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the cache keeps it; each asker gets an exception of its own."""

    kind: type[MxError]
    text: str


class Records(tuple[Any, ...]):
    """The records of one answer. `validated`: the name server found DNSSEC to prove them."""

    validated = False


Answers: TypeAlias = AnswerCache[Records | Failure]


def parse_nameserver(text: str) -> tuple[str, int]:
    """ "192.0.2.1:53", "192.0.2.1", "[::1]:53" or "::1" as (address, port). Raises ValueError."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"{text!r} is not the address of a name server")
        port = port[1:]
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    try:
        address, number = str(ip_address(host)), int(port or 53)
    except ValueError:
        raise ValueError(f"{text!r} is not the address of a name server") from None
    if not 0 < number < 65536:
        raise ValueError(f"{text!r} has a port out of range")
    return address, number


class DnsResolver:
    """Asks `nameserver` ("host:port"), or the system's name servers when it is "".

    `lifetime` is in seconds and counts the time spent in lookups. `cache` may be shared by all
    resolvers of the same name servers. Raises ValueError when `nameserver` is malformed and
    DnsTrouble when the system has none.
    """

    def __init__(
        self, nameserver: str = "", lifetime: float = LIFETIME, cache: Answers | None = None
    ) -> None:
        self._resolver = _stub(nameserver)
        self._one_lookup = lifetime * _SHARE_OF_ONE_LOOKUP
        self._left = lifetime
        self._cache = cache
        self._proven: dict[dns.name.Name, bool] = {}

    def proven(self, name: str) -> bool:
        """Whether this resolver had answers about `name`, and DNSSEC validated all of them.

        That is the name server's word (the AD flag), worth as much as the way to it is safe. An
        answer that did not come changes nothing: whoever can hold back one about IPv6 must not be
        able to make a signed name look like an unsigned one.
        """
        return self._proven.get(_name(name), False)

    def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        return self._ask(
            domain,
            dns.rdatatype.MX,
            lambda record: (record.preference, _text(record.exchange)),
        )

    def addresses(self, name: str) -> Sequence[str]:
        found: list[str] = []
        trouble: MxError | None = None
        for question in (self.ipv4, self.ipv6):
            try:
                found += question(name)
            except MxError as error:
                trouble = error
                if not error.permanent:
                    break
        if trouble is not None and not found:
            raise trouble
        return found

    def ipv4(self, name: str) -> Sequence[str]:
        return self._ask(name, dns.rdatatype.A, lambda record: str(record.address))

    def ipv6(self, name: str) -> Sequence[str]:
        return self._ask(name, dns.rdatatype.AAAA, lambda record: str(record.address))

    def txt(self, name: str) -> Sequence[str]:
        return self._ask(
            name,
            dns.rdatatype.TXT,
            lambda record: b"".join(record.strings).decode("latin-1"),
        )

    def tlsa(self, name: str) -> Sequence[TlsaRecord]:
        """As they stand, usable or not; `name` is "_25._tcp.HOST"."""
        return self._ask(
            name,
            dns.rdatatype.TLSA,
            lambda record: TlsaRecord(record.usage, record.selector, record.mtype, record.cert),
        )

    def ptr(self, address: str) -> Sequence[str]:
        return self._ask(
            ip_address(address).reverse_pointer,
            dns.rdatatype.PTR,
            lambda record: _text(record.target),
        )

    def _ask(
        self, name: str, kind: dns.rdatatype.RdataType, read: Callable[[Any], Any]
    ) -> tuple[Any, ...]:
        """What `read` makes of each record of `kind`, from the cache when it has them."""
        asked = _name(name)
        records = self._recall(asked, kind, read)
        self._proven[asked] = records.validated and self._proven.get(asked, True)
        return records

    def _recall(
        self, asked: dns.name.Name, kind: dns.rdatatype.RdataType, read: Callable[[Any], Any]
    ) -> Records:
        if self._cache is None:
            return self._find(asked, kind, read)[0]
        question = (kind, asked)
        known = self._cache.get(question)
        if isinstance(known, Failure):
            raise known.kind(known.text)
        if known is not None:
            return known
        try:
            records, seconds = self._find(asked, kind, read)
        except MxError as error:
            self._cache.put(question, Failure(type(error), str(error)), _keep_failure(error))
            raise
        self._cache.put(question, records, seconds)
        return records

    def _find(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, read: Callable[[Any], Any]
    ) -> tuple[Records, float]:
        """The records, found through aliases also where the server does not follow, and for how
        many seconds they may be kept."""
        asked = name
        validated = True
        for _ in range(_MAX_ALIASES):
            answer = self._lookup(asked, kind)
            seconds = answer.expiration - time.time()
            validated = validated and bool(answer.response.flags & dns.flags.AD)
            if answer.rrset is not None or answer.canonical_name == asked:
                records = Records(read(record) for record in answer.rrset or ())
                records.validated = validated
                if answer.rrset is None:
                    return records, min(seconds, NEGATIVE)
                return records, min(seconds, POSITIVE) if _is_small(records) else 0
            asked = answer.canonical_name
        raise CnameLoop(f"the aliases of {_text(name)} lead nowhere")

    def _lookup(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        if self._left <= 0:
            raise OutOfTime("the name servers took too long")
        patience = min(self._left, self._one_lookup)
        started = time.monotonic()
        try:
            return self._resolver.resolve(
                name, kind, raise_on_no_answer=False, search=False, lifetime=patience
            )
        except dns.resolver.NXDOMAIN:
            raise NoSuchDomain(f"{_text(name)} does not exist") from None
        except dns.resolver.NoNameservers as error:
            if _is_cname_loop(error):
                raise CnameLoop(f"the aliases of {_text(name)} run in a circle") from error
            raise DnsTrouble(f"the name servers failed on {_text(name)}") from error
        except (dns.exception.DNSException, OSError) as error:
            kind_of_trouble = OutOfTime if patience < self._one_lookup else DnsTrouble
            raise kind_of_trouble(f"no answer from the name servers about {_text(name)}") from error
        finally:
            self._left -= time.monotonic() - started


def _name(text: str) -> dns.name.Name:
    """The labels as they stand: no escapes, no IDNA. Raises NoSuchDomain for what is no name."""
    try:
        labels = [label.encode("ascii") for label in text.removesuffix(".").split(".")]
        return dns.name.Name([*labels, b""])
    except (UnicodeEncodeError, dns.exception.DNSException):
        raise NoSuchDomain("the name is malformed and cannot exist") from None


def _is_small(records: tuple[Any, ...]) -> bool:
    """Whether an answer is worth its place in the cache; a stranger may make it large."""
    text = sum(len(str(record)) for record in records)
    return len(records) <= _MAX_KEPT_RECORDS and text <= _MAX_KEPT_TEXT


def _keep_failure(error: MxError) -> float:
    if isinstance(error, OutOfTime):
        return 0
    return NEGATIVE if error.permanent else TROUBLE


def _stub(nameserver: str) -> dns.resolver.Resolver:
    if not nameserver:
        return _system_stub()
    stub = dns.resolver.Resolver(configure=False)
    address, port = parse_nameserver(nameserver)
    stub.nameservers = [dns.nameserver.Do53Nameserver(address, port)]
    stub.timeout = LIFETIME * _SHARE_OF_ONE_LOOKUP / _TRIES_OF_ONE_LOOKUP
    stub.flags = _QUERY_FLAGS
    return stub


@lru_cache(maxsize=1)
def _system_stub() -> dns.resolver.Resolver:
    """Reads resolv.conf once per process. Raises DnsTrouble when there is none."""
    try:
        stub = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise DnsTrouble("this machine has no name server configured") from error
    stub.flags = _QUERY_FLAGS
    return stub


def nameservers(nameserver: str) -> list[str]:
    """The addresses that a resolver for `nameserver` asks. Raises as DnsResolver does."""
    return _addresses_of(_stub(nameserver))


def _addresses_of(stub: dns.resolver.Resolver) -> list[str]:
    return [
        each.address if isinstance(each, dns.nameserver.AddressAndPortNameserver) else str(each)
        for each in stub.nameservers
    ]


def _is_cname_loop(error: dns.resolver.NoNameservers) -> bool:
    attempts = error.kwargs.get("errors") or []
    return any(isinstance(problem[3], dns.message.ChainTooLong) for problem in attempts)


def _text(name: object) -> str:
    return str(name).rstrip(".").lower()
