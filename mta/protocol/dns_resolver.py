"""The DNS as `mta.protocol.mx` asks it, by dnspython (RFC 1035).

The time for all lookups of one resolver together is bounded, so make one for each delivery or
session; no single lookup may eat more than a part of it.
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import dns.exception
import dns.message
import dns.nameserver
import dns.rdatatype
import dns.resolver

from mta.protocol.mx import CnameLoop, DnsTrouble, MxError, NoSuchDomain

LIFETIME = 10.0
_SHARE_OF_ONE_LOOKUP = 0.4
_TRIES_OF_ONE_LOOKUP = 2
_MAX_ALIASES = 8


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

    `lifetime` is in seconds and counts the time spent in lookups. Raises ValueError when
    `nameserver` is malformed and DnsTrouble when the system has none.
    """

    def __init__(self, nameserver: str = "", lifetime: float = LIFETIME) -> None:
        self._resolver = _stub(nameserver)
        self._one_lookup = lifetime * _SHARE_OF_ONE_LOOKUP
        self._left = lifetime

    def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        records = self._ask(domain, dns.rdatatype.MX)
        return [(record.preference, _text(record.exchange)) for record in records]

    def addresses(self, name: str) -> Sequence[str]:
        found: list[str] = []
        trouble: MxError | None = None
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            try:
                found += [record.address for record in self._ask(name, kind)]
            except MxError as error:
                trouble = error
                if not error.permanent:
                    break
        if trouble is not None and not found:
            raise trouble
        return found

    def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
        """The records of `kind`, found through aliases also where the server does not follow."""
        for _ in range(_MAX_ALIASES):
            answer = self._lookup(name, kind)
            if answer.rrset is not None:
                return list(answer.rrset)
            canonical = _text(answer.canonical_name)
            if canonical == name.lower():
                return []
            name = canonical
        raise CnameLoop(f"the aliases of {name} lead nowhere")

    def _lookup(self, name: str, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        if self._left <= 0:
            raise DnsTrouble("the name servers took too long")
        started = time.monotonic()
        try:
            return self._resolver.resolve(
                f"{name}.",
                kind,
                raise_on_no_answer=False,
                search=False,
                lifetime=min(self._left, self._one_lookup),
            )
        except dns.resolver.NXDOMAIN:
            raise NoSuchDomain(f"{name} does not exist") from None
        except dns.resolver.NoNameservers as error:
            if _is_cname_loop(error):
                raise CnameLoop(f"the aliases of {name} run in a circle") from error
            raise DnsTrouble(f"the name servers failed on {name}") from error
        except (dns.exception.DNSException, OSError) as error:
            raise DnsTrouble(f"no answer from the name servers about {name}") from error
        finally:
            self._left -= time.monotonic() - started


def _stub(nameserver: str) -> dns.resolver.Resolver:
    if not nameserver:
        return _system_stub()
    stub = dns.resolver.Resolver(configure=False)
    address, port = parse_nameserver(nameserver)
    stub.nameservers = [dns.nameserver.Do53Nameserver(address, port)]
    stub.timeout = LIFETIME * _SHARE_OF_ONE_LOOKUP / _TRIES_OF_ONE_LOOKUP
    return stub


@lru_cache(maxsize=1)
def _system_stub() -> dns.resolver.Resolver:
    """Reads resolv.conf once per process. Raises DnsTrouble when there is none."""
    try:
        return dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise DnsTrouble("this machine has no name server configured") from error


def _is_cname_loop(error: dns.resolver.NoNameservers) -> bool:
    attempts = error.kwargs.get("errors") or []
    return any(isinstance(problem[3], dns.message.ChainTooLong) for problem in attempts)


def _text(name: object) -> str:
    return str(name).rstrip(".").lower()
