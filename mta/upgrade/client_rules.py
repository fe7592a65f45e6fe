"""What client networks may do, as tcpserver (qmail) and couriertcpd write it.

A rule is a prefix, allow or deny, and variables: `allow,RELAYCLIENT,BLOCK="550 go away"`. In both
systems the longest prefix alone counts, as it does here.
"""

import ipaddress
import re

from mta.upgrade.findings import Findings, Kind, Line

EVERYBODY = ("0.0.0.0/0", "::/0")

_VARIABLE = re.compile(r'\s*([A-Za-z0-9_]+)\s*(?:=\s*("[^"]*"|[^,]*))?\s*(?:,|\Z)')
_SWITCHES = {
    "AUTH_REQUIRED": "auth_required",
    "ESMTP_TLS_REQUIRED": "tls_required",
    "BOFHCHECKDNS": "checkdns",
    "TARPIT": "tarpit",
}
_NUMBERS = {"SIZELIMIT": "sizelimit", "MAXCPERIP": "maxperip", "BOFHCHECKHELO": "checkhelo"}


def networks(prefix: str) -> tuple[str, ...]:
    """The networks of a prefix: "192.168", "192.168.", ":2001:0db8", a CIDR, "*" or nothing for
    everybody. Raises ValueError."""
    text = prefix.strip()
    if text in ("", "*"):
        return EVERYBODY
    body, slash, bits = text.partition("/")
    if ":" in body:
        return (_ipv6(body.removeprefix(":") if not body.startswith("::") else body, bits),)
    octets = body.removesuffix(".").split(".")
    if not 1 <= len(octets) <= 4 or not all(octet.isdecimal() for octet in octets):
        raise ValueError(f"{text} is no network")
    whole = ".".join([*octets, *["0"] * (4 - len(octets))])
    return (str(ipaddress.ip_network(f"{whole}/{bits if slash else 8 * len(octets)}", False)),)


def _ipv6(body: str, bits: str) -> str:
    words = body.rstrip(":").split(":")
    if "::" in body or len(words) == 8:
        return str(ipaddress.ip_network(f"{body}/{bits or 128}", False))
    return str(ipaddress.ip_network(f"{':'.join(words)}::/{bits or 16 * len(words)}", False))


def want_client_rule(findings: Findings, prefix: str, instruction: str, line: Line) -> None:
    """One rule as access rows; variables without an equivalent are left one by one."""
    action, _, rest = instruction.strip().partition(",")
    if action not in ("allow", "deny"):
        findings.leave(line, "neither allow nor deny")
        return
    try:
        covered = networks(prefix)
    except ValueError as error:
        findings.leave(line, str(error))
        return
    values = {"action": action, "relay": False} | _terms(action, rest, findings, line)
    if covered == EVERYBODY and values == {"action": "allow", "relay": False}:
        # What holds without a rule, too.
        return
    for network in covered:
        findings.want(Kind.ACCESS, network, line, **values)


def _terms(action: str, rest: str, findings: Findings, line: Line) -> dict[str, object]:
    terms: dict[str, object] = {}
    position = 0
    while position < len(rest):
        match = _VARIABLE.match(rest, position)
        if match is None:
            findings.leave(line, f"{rest[position:]} is no list of variables")
            break
        position = match.end()
        name, value = match.group(1), (match.group(2) or "").strip().strip('"')
        term = _term(name, value) if action == "allow" else None
        if term is None:
            findings.leave(line, f"{name}={value} has no equivalent in an access rule")
        else:
            terms |= term
    return terms


def _term(name: str, value: str) -> dict[str, object] | None:
    """The fields of an access rule that say the same as the variable, None when none do."""
    if name == "RELAYCLIENT" and not value:
        return {"relay": True}
    if name == "BLOCK":
        # Empty, it only keeps the DNS lists from being asked.
        return _block(value) if value else {"dnslists": False}
    if name == "RBLSMTPD":
        return _block(value.removeprefix("-")) if value else {"dnslists": False}
    if name in _SWITCHES and value in ("0", "1"):
        return {_SWITCHES[name]: value == "1"}
    if name in _NUMBERS and value.isdecimal() and value.isascii():
        return {_NUMBERS[name]: int(value)}
    if name in ("BOFHSPFHELO", "BOFHSPFMAILFROM", "BOFHSPFFROM") and value in ("off", "all"):
        return {"spf": False}
    if name == "MIME" and value == "none":
        return {"mime": "accept"}
    return None


def _block(text: str) -> dict[str, object]:
    return {"action": "block", "relay": False, "text": text}
