"""Job: what the DNS says about a domain of ours, and what it should say (RFC 5321 5.1, 7208)."""

from dataclasses import asdict, dataclass
from typing import Any

import dns.exception
import dns.resolver
from django.conf import settings

from courierweb.jobs.launch import report

LIFETIME_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One record: `verdict` is "good", "warning" or "bad"; `advice` is "" when all is well."""

    record: str
    seen: list[str]
    verdict: str
    advice: str = ""


def check_domain(name: str) -> list[dict[str, Any]]:
    """Looks up MX, SPF and DMARC of the domain; gives a list of findings as dictionaries."""
    resolver = _resolver()
    findings = []
    for title, check in (("MX", _check_mx), ("SPF", _check_spf), ("DMARC", _check_dmarc)):
        report(f"Looking up {title} of {name}")
        findings.append(asdict(check(resolver, name.removeprefix("."))))
    return findings


def _resolver() -> dns.resolver.Resolver:
    server = settings.ENVIRONMENT.dns
    resolver = dns.resolver.Resolver(configure=not server)
    if server:
        host, _, port = server.rpartition(":")
        resolver.nameservers = [host.strip("[]")]
        resolver.port = int(port)
    resolver.lifetime = LIFETIME_SECONDS
    return resolver


def _check_mx(resolver: dns.resolver.Resolver, name: str) -> Finding:
    ours = settings.ENVIRONMENT.hostname
    record = f"{name} MX"
    wanted = f"publish {name}. MX 10 {ours}."
    try:
        answers = sorted(resolver.resolve(name, "MX"), key=lambda mx: mx.preference)
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return Finding(record, [], "bad", f"there is none, so no mail finds its way: {wanted}")
    except dns.exception.DNSException as error:
        return _unanswered(record, error)
    seen = [f"{mx.preference} {mx.exchange}" for mx in answers]
    if ours not in {str(mx.exchange).rstrip(".").lower() for mx in answers}:
        return Finding(record, seen, "warning", f"none of them is this server: {wanted}")
    return Finding(record, seen, "good")


def _check_spf(resolver: dns.resolver.Resolver, name: str) -> Finding:
    record = f"{name} TXT (SPF)"
    try:
        seen = [text for text in _texts(resolver, name) if text.lower().startswith("v=spf1")]
    except dns.exception.DNSException as error:
        return _unanswered(record, error)
    if not seen:
        return Finding(record, [], "warning", f'publish {name}. TXT "v=spf1 mx -all"')
    if len(seen) > 1:
        return Finding(record, seen, "bad", "there must be one SPF record only (RFC 7208 3.2)")
    return Finding(record, seen, "good")


def _check_dmarc(resolver: dns.resolver.Resolver, name: str) -> Finding:
    record = f"_dmarc.{name} TXT"
    try:
        seen = [
            text
            for text in _texts(resolver, f"_dmarc.{name}")
            if text.lower().startswith("v=dmarc1")
        ]
    except dns.exception.DNSException as error:
        return _unanswered(record, error)
    if seen:
        return Finding(record, seen, "good")
    advice = f'publish _dmarc.{name}. TXT "v=DMARC1; p=none; rua=mailto:postmaster@{name}"'
    return Finding(record, [], "warning", advice)


def _texts(resolver: dns.resolver.Resolver, name: str) -> list[str]:
    try:
        answers = resolver.resolve(name, "TXT")
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return []
    return [b"".join(answer.strings).decode("utf-8", "replace") for answer in answers]


def _unanswered(record: str, error: dns.exception.DNSException) -> Finding:
    return Finding(record, [], "bad", f"the DNS gave no usable answer: {error}")
