"""Courier's files of shell assignments: esmtpd, esmtpd-msa, esmtpd-ssl, courierd (spec 2.15, 2.16).

Most of what stands in them is about the programs (paths, certificates, process files) and says
nothing here; what is policy is carried over or left by name.
"""

import re

from mta.upgrade.findings import Findings, Kind, Line
from mta.upgrade.source import Source

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_SETTINGS = {
    "MAXDAEMONS": "maxdaemons",
    "MAXPERC": "maxperc",
    "MAXPERIP": "maxperip",
    "BOFHCHECKDNS": "checkdns",
    "TARPIT": "tarpit",
    "DEFAULTDELIVERY": "defaultdelivery",
    "DYNAMICDELIVERIES": "dynamicdeliveries",
}
# These say what is not to be done.
_REVERSED = {"BOFHNOEXPN": "expn", "BOFHNOVRFY": "vrfy"}
# What would be policy, and cannot be had or is decided otherwise here.
_REASONS = {
    "AUTH_REQUIRED": "port 25 takes mail without, submission only with signing in: see access set",
    "ESMTP_TLS_REQUIRED": "listener set smtp --tls-required",
    "ESMTPAUTH": "which mechanisms are offered is not configured",
    "ESMTPAUTH_TLS": "which mechanisms are offered is not configured",
    "ADDRESS": "the doors are open on every address",
    "PORT": "the ports are COURIERWEB_SMTP_PORT, _SUBMISSION_PORT and _SMTPS_PORT",
    "NOADDRREWRITE": "addresses in headers are not rewritten",
    "MAILDROPDEFAULT": "has no equivalent",
    "ULIMIT": "has no equivalent",
    "DROP": "has no equivalent",
    "ESMTP_BLOCKBACKSCATTER": "has no equivalent",
}
_BLOCK_LIST = re.compile(r"-(block|allow)=([^,\s]+)(?:,([^,\s]*))?(?:,(.*))?\Z")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")


def read_daemons(source: Source, findings: Findings) -> None:
    """The SMTP server's own file counts; where the other doors differ is left."""
    seen: dict[str, str] = {}
    for file in ("esmtpd", "courierd", "esmtpd-msa", "esmtpd-ssl"):
        for line in source.lines(file):
            match = _ASSIGNMENT.fullmatch(line.text)
            if match is None:
                continue
            name, value = match.group(1), _unquoted(match.group(2))
            if file in ("esmtpd", "courierd"):
                seen[name] = value
                _assignment(name, value, line, findings)
            elif seen.get(name) != value and (name in _SETTINGS or name in _REVERSED):
                findings.leave(line, "the limits of one door are those of all")


def _assignment(name: str, value: str, line: Line, findings: Findings) -> None:
    if name in _SETTINGS and value:
        findings.want(Kind.SETTING, _SETTINGS[name], line, text=value)
    elif name in _REVERSED:
        word = "on" if value == "0" else "off"
        findings.want(Kind.SETTING, _REVERSED[name], line, text=word)
    elif name == "BLACKLISTS":
        for position, option in enumerate(_WORD.findall(value)):
            _dns_list(option, position, line, findings)
    elif name in _REASONS and value not in ("", "0"):
        findings.leave(line, _REASONS[name])


def _dns_list(option: str, position: int, line: Line, findings: Findings) -> None:
    """ "-block=zone[=display][,VAR[/a.b.c.d][,message]]"; only the variable BLOCK blocks."""
    match = _BLOCK_LIST.match(option.replace('"', "").replace("'", ""))
    if match is None:
        findings.leave(line, f"{option} is no DNS list")
        return
    action, zone, variable, message = match.groups(default="")
    name, _, answers = variable.partition("/")
    if action == "block" and name not in ("", "BLOCK"):
        findings.leave(line, f"{zone} sets {name}, which nothing looks at")
        return
    findings.want(
        Kind.DNS_LIST,
        zone.partition("=")[0].lower(),
        line,
        action=action,
        answers=answers,
        text=message,
        position=position,
    )


def _unquoted(text: str) -> str:
    """The value as a shell would take it, for the plain cases that stand in such files."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text.split("#")[0].split(";")[0].strip().strip("\"'")
