"""Courier's esmtproutes in its text form: one route a line, pure reading and writing.

    domain: relay[,port][/SECURITY=REQUIRED|STARTTLS|SMTPS|NONE][/IPV4ONLY|/IPV6ONLY]

`.domain` means the sub-domains, an empty domain all mail (the smarthost), an empty relay the MX
of the recipient's domain. `NONE` is ours: never TLS. Courier takes the first line that matches;
here the most specific route counts wherever it stands, so the order of the lines is free.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mta.protocol import address

EVERYTHING = "*"
SMTP_PORT = 25
SMTPS_PORT = 465

_RELAY = re.compile(r"(\[[^\]]+\]|[^:,\s]+)(?:[:,](\d{1,5}))?\Z")


class Security(StrEnum):
    """How a route protects its mail; STARTTLS wants a certificate that proves the name, too."""

    OPPORTUNISTIC = ""
    NONE = "NONE"
    REQUIRED = "REQUIRED"
    STARTTLS = "STARTTLS"
    SMTPS = "SMTPS"


class IpVersion(StrEnum):
    ANY = ""
    ONLY_4 = "IPV4ONLY"
    ONLY_6 = "IPV6ONLY"


class BadRoutes(ValueError):
    """Lines that are no routes; the message has a sentence for each, with its number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One route. `domain` is "*" for all mail; `relay` is "" for "as the MX says"."""

    domain: str
    relay: str
    port: int = SMTP_PORT
    security: Security = Security.OPPORTUNISTIC
    ip_version: IpVersion = IpVersion.ANY


def parse(text: str) -> list[Line]:
    """The routes of a whole file; of two lines for one domain the first. Raises BadRoutes."""
    found: dict[str, Line] = {}
    troubles: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        content = raw.strip()
        if not content or content.startswith("#"):
            continue
        try:
            line = _parse_line(content)
        except ValueError as error:
            troubles.append(f"line {number}: {error}")
            continue
        found.setdefault(line.domain, line)
    if troubles:
        raise BadRoutes("; ".join(troubles))
    return list(found.values())


def write(lines: Iterable[Line]) -> str:
    """The text form: names, then sub-domains from the deepest up, the smarthost last, so that
    Courier's first match is the same route as our most specific one."""
    return "".join(f"{_write_line(line)}\n" for line in sorted(lines, key=_order))


def parse_domain(text: str) -> str:
    """ "Example.com", ".example.com", "*" or "" (both: all mail) as stored. Raises ValueError."""
    text = text.strip()
    if text in ("", EVERYTHING):
        return EVERYTHING
    wildcard = "." if text.startswith(".") else ""
    try:
        return wildcard + address.normalize_domain(text.removeprefix("."))
    except address.AddressError as error:
        raise ValueError(f"{text}: {error}") from error


def parse_relay(text: str) -> tuple[str, int]:
    """ "host", "host:port", "[ip]" or "[ip]:port" as (host, port), 0 for the default port.

    A comma may stand for the colon, as Courier writes it. Raises ValueError with a sentence.
    """
    text = text.strip()
    match = _RELAY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not HOST[:PORT] (an IP address stands in brackets)")
    host, port = match.group(1), int(match.group(2) or 0)
    if match.group(2) and not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    if host.startswith("["):
        inner = host[1:-1].removeprefix("IPv6:")
        return f"[{ipaddress.ip_address(inner)}]", port
    try:
        return f"[{ipaddress.IPv4Address(host)}]", port
    except ValueError:
        pass
    try:
        return address.normalize_domain(host), port
    except address.AddressError as error:
        raise ValueError(f"{host}: {error}") from error


def _parse_line(content: str) -> Line:
    domain, colon, rest = content.partition(":")
    if not colon:
        raise ValueError("there is no colon after the domain")
    place, *options = (word.strip() for word in rest.split("/"))
    security, ip_version = _parse_options(options)
    relay, port = parse_relay(place) if place else ("", 0)
    default = SMTPS_PORT if security is Security.SMTPS else SMTP_PORT
    if not relay and security is Security.SMTPS:
        raise ValueError("SMTPS needs a relay: no MX listens for it")
    return Line(parse_domain(domain), relay, port or default, security, ip_version)


def _parse_options(options: Iterable[str]) -> tuple[Security, IpVersion]:
    security, ip_version = Security.OPPORTUNISTIC, IpVersion.ANY
    for option in options:
        name, _, value = option.upper().partition("=")
        if name == "SECURITY" and value in set(Security) - {""}:
            security = Security(value)
        elif name in set(IpVersion) - {""} and not value:
            ip_version = IpVersion(name)
        else:
            raise ValueError(f"/{option} is not known")
    return security, ip_version


def _write_line(line: Line) -> str:
    domain = "" if line.domain == EVERYTHING else line.domain
    port = f",{line.port}" if line.relay and line.port != SMTP_PORT else ""
    security = f"/SECURITY={line.security}" if line.security else ""
    ip_version = f"/{line.ip_version}" if line.ip_version else ""
    return f"{domain}: {line.relay}{port}{security}{ip_version}"


def _order(line: Line) -> tuple[bool, bool, int, str]:
    is_wildcard = line.domain.startswith(".")
    depth = line.domain.count(".") if is_wildcard else 0
    return line.domain == EVERYTHING, is_wildcard, -depth, line.domain
