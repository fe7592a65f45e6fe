"""sendmail's configuration as rows: the maps' source texts, and plain options of sendmail.cf.

The directory is /etc/mail or a copy of it; `aliases` may stand in it or be linked into it. The
access map has a reader of its own.
"""

import re

from mta.upgrade.access_map import NETWORK, read_access, want_networks, want_relay_domain
from mta.upgrade.aliases import read_aliases
from mta.upgrade.findings import DomainKind, Findings, Kind, Line
from mta.upgrade.source import Source

_OPTIONS = {
    "maxmessagesize": "sizelimit",
    "maxrecipientspermessage": "maxrcpts",
    "maxhopcount": "maxhops",
    "timeout.queuereturn": "queuetime",
    "timeout.queuewarn": "warntime",
}
_OPTION = re.compile(r"O\s+([A-Za-z.]+)\s*=\s*(\S*)")
_SMARTHOST = re.compile(r"DS(\S+)")
_MACRO = re.compile(r"define\(`(SMART_HOST|confMAX_MESSAGE_SIZE)',\s*`?([^')]*)'?\)")
_RELAY_MAILERS = ("smtp", "esmtp", "relay", "smtp8", "dsmtp")


def read(source: Source, hostname: str, findings: Findings) -> None:
    """Everything that is known of a sendmail; the table of contents."""
    _read_virtual_users(source, hostname, findings)
    _read_local_names(source, findings)
    _read_relay_domains(source, findings)
    read_access(source, findings)
    _read_mailer_table(source, findings)
    read_aliases(source, "aliases", hostname, findings)
    _read_options(source, findings)
    for line in source.lines("domaintable"):
        findings.leave(line, "domains in headers are not rewritten")
    for name in ("genericstable", "genericsdomain", "userdb"):
        for line in source.lines(name):
            findings.leave(line, "addresses in headers are not rewritten")


def _read_virtual_users(source: Source, hostname: str, findings: Findings) -> None:
    """A domain with virtual users has mailboxes and aliases of its own."""
    for line in source.lines("virtusertable"):
        name, *rest = line.text.split(maxsplit=1)
        target = "".join(rest).strip()
        domain = name.rpartition("@")[2]
        if "@" not in name or not target:
            findings.leave(line, "USER@DOMAIN TARGET or @DOMAIN TARGET is expected")
        elif target.lower().startswith(("error:", "nouser")):
            findings.leave(line, "an address that does not exist is refused without being named")
            findings.want_domain(domain, DomainKind.HOSTED, line)
        elif "%" in target:
            findings.leave(line, "a target made from the name has no equivalent")
        else:
            findings.want_domain(domain, DomainKind.HOSTED, line)
            target = target if "@" in target else f"{target}@{hostname}"
            findings.want_alias(name.lower(), [target], line)


def _read_local_names(source: Source, findings: Findings) -> None:
    for file in ("local-host-names", "sendmail.cw"):
        for line in source.lines(file):
            if line.text.strip() == "localhost":
                findings.leave(line, "localhost is a name of every host")
            else:
                findings.want_domain(line.text.strip(), DomainKind.LOCAL, line)


def _read_relay_domains(source: Source, findings: Findings) -> None:
    by_name: Line | None = None
    for line in source.lines("relay-domains"):
        name = line.text.strip()
        if NETWORK.match(name):
            want_networks(findings, name, line, action="allow", relay=True)
        else:
            want_relay_domain(findings, name, line)
            by_name = by_name or line
    if by_name:
        findings.leave(
            by_name,
            "hosts whose names are in these domains may not relay: name their networks"
            " (access set)",
        )


def _read_mailer_table(source: Source, findings: Findings) -> None:
    for line in source.lines("mailertable"):
        domain, *rest = line.text.split(maxsplit=1)
        mailer, colon, host = "".join(rest).strip().partition(":")
        if mailer.lower() not in _RELAY_MAILERS or not host:
            findings.leave(line, f"the mailer {mailer or '(none)'} has no equivalent as a route")
            continue
        # A name in brackets is not looked up for an MX; an address needs them.
        first, *others = re.findall(r"\[[^\]]+\]|[^:]+", host)
        if others:
            findings.leave(line, f"only the first host, {first}, is taken")
        findings.want(Kind.ROUTE, domain.lower(), line, relay=unbracketed(first))


def unbracketed(host: str) -> str:
    inner = host.strip("[]")
    return f"[{inner}]" if ":" in inner or inner.replace(".", "").isdecimal() else inner


def _read_options(source: Source, findings: Findings) -> None:
    for line in source.lines("sendmail.cf"):
        if match := _OPTION.match(line.text):
            setting = _OPTIONS.get(match.group(1).lower())
            if setting and match.group(2) not in ("", "0"):
                findings.want(Kind.SETTING, setting, line, text=match.group(2))
        elif match := _SMARTHOST.match(line.text):
            _want_smarthost(match.group(1), line, findings)
    if source.has("sendmail.cf"):
        return
    for line in source.lines("sendmail.mc"):
        for name, value in _MACRO.findall(line.text.split("dnl")[0]):
            if name == "SMART_HOST":
                _want_smarthost(value, line, findings)
            elif value not in ("", "0"):
                findings.want(Kind.SETTING, "sizelimit", line, text=value)


def _want_smarthost(text: str, line: Line, findings: Findings) -> None:
    mailer, colon, host = text.rpartition(":")
    if mailer and mailer.lower() not in _RELAY_MAILERS:
        findings.leave(line, f"the mailer {mailer} has no equivalent as a smarthost")
    else:
        findings.want(Kind.ROUTE, "*", line, relay=unbracketed(host))
