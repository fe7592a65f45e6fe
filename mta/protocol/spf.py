"""SPF: may this client send mail in the name of this domain (RFC 7208)?

`check` never raises on what a stranger wrote: every trouble is one of the seven results. The
time is that of the resolver; the number of lookups is that of RFC 7208 4.6.4.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from mta.protocol.dns_questions import PolicyResolver, client_address
from mta.protocol.mx import is_ip, literal_address
from mta.protocol.spf_evaluation import Evaluation, Facts, Finding, Result, shown

__all__ = ["Identity", "Result", "SpfResult", "check"]


class Identity(StrEnum):
    HELO = "helo"
    MAILFROM = "mailfrom"
    FROM = "from"


@dataclass(frozen=True, slots=True)
class SpfResult:
    """What the domain says of the client.

    `mechanism` is the term of the record that decided, "default" when none did, "" without a
    record. `explanation` is the domain's own words for a fail, printable ASCII, often "".
    `problem` says what is wrong with the record or the DNS. `seconds` is how long it took.
    """

    identity: Identity
    result: Result
    domain: str
    sender: str
    client_ip: str
    mechanism: str = ""
    explanation: str = ""
    problem: str = ""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The result in a sentence of ours, for a reply, a header or a page."""
        who, domain = self.client_ip, shown(self.domain) or "the sender"
        match self.result:
            case Result.PASS:
                return f"{domain} permits {who} to send its mail"
            case Result.FAIL:
                return f"{domain} does not permit {who} to send its mail"
            case Result.SOFTFAIL:
                return f"{domain} discourages mail from {who}"
            case Result.NEUTRAL:
                return f"{domain} neither permits nor denies {who}"
            case Result.NONE:
                return f"{domain} publishes no SPF record"
            case Result.TEMPERROR:
                return f"temporary error in the SPF check of {domain}: {self.problem}"
            case Result.PERMERROR:
                return f"error in the SPF record of {domain}: {self.problem}"


def check(
    identity: Identity,
    client_ip: str,
    helo: str,
    sender: str,
    hostname: str,
    resolver: PolicyResolver,
) -> SpfResult:
    """Checks one identity of a session.

    `sender` is the reverse-path for MAILFROM ("" for the null one, which is then judged by its
    HELO, RFC 7208 2.4) and the author's address for FROM; HELO does not look at it. `hostname`
    is ours. Domains are in ASCII form. Raises ValueError when `client_ip` is no address.
    """
    started = time.monotonic()
    address = client_address(client_ip)
    local, domain = _subject(identity, helo, sender)
    if identity is Identity.HELO and _is_literal_of(domain, address):
        finding = Finding(Result.PASS)
    else:
        facts = Facts(address, local, domain, helo, hostname)
        finding = Evaluation(facts, resolver).judge()
    return SpfResult(
        identity,
        finding.result,
        domain,
        f"{local}@{domain}" if domain else "",
        str(address),
        finding.mechanism,
        finding.explanation,
        finding.problem,
        time.monotonic() - started,
    )


def _is_literal_of(helo: str, address: IPv4Address | IPv6Address) -> bool:
    """Whether the name is just the client's address, with or without brackets."""
    text = helo if is_ip(helo) else literal_address(helo)
    return bool(text) and client_address(text) == address


def _subject(identity: Identity, helo: str, sender: str) -> tuple[str, str]:
    """(local part, domain) to judge; both are "postmaster" and HELO without a sender."""
    if identity is Identity.HELO or (identity is Identity.MAILFROM and not sender):
        return "postmaster", helo.removesuffix(".").lower()
    local, _, domain = sender.rpartition("@")
    return local or "postmaster", domain.removesuffix(".").lower()
