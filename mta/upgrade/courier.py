"""Courier's configuration as rows (spec 2.14 to 2.19, 3.6, 9.6).

The directory is /etc/courier or a copy of it: domains, routes, access rules, aliases, userdb, and
the files that hold one value. `bofh` and the daemons' own files have readers of their own.
"""

import re

from mta.upgrade import bofh, client_rules, daemon_options
from mta.upgrade.aliases import read_aliases
from mta.upgrade.findings import DomainKind, Findings, Kind, Line, Origin
from mta.upgrade.source import Source
from mta.upgrade.userdb import read_userdb

# Files of one value whose names are settings here, or may be in another version.
_VALUES = (
    *("sizelimit", "batchsize", "queuetime", "warntime", "dsnlimit", "submitdelay", "backuprelay"),
    *("retryalpha", "retrybeta", "retrygamma", "retrymaxdelta", "localtimeout", "respawnlo"),
    *("respawnhi", "esmtptimeout", "esmtptimeoutconnect", "esmtptimeouthelo", "esmtptimeoutdata"),
    *(
        "uucpme",
        "esmtptimeoutquit",
        "esmtpdelay",
        "dotextension",
        "queuefill",
        "esmtptimeoutkeepalive",
    ),
)
_OTHER_NAMES = {"localtimeout": "commandtimeout"}
_NAMES = ("me", "defaultdomain", "msgidhost", "dsnfrom", "esmtphelo", "esmtpgreeting")
_LEFT_WHOLE = (
    "esmtppercentrelay",
    "enablefiltering",
    "esmtpauthclient",
    "ldapaliasrc",
)
_ROUTE = re.compile(r"(?P<host>\[[^\]]*\]|[^,/\s]*)(?:\s*,\s*(?P<port>\d+))?(?P<options>(?:/\S+)*)")
_SMTPS_PORT = 465


def read(source: Source, hostname: str, findings: Findings) -> None:
    """Everything that is known of a Courier; the table of contents."""
    _read_domains(source, hostname, findings)
    _read_routes(source, findings)
    for file in source.names("smtpaccess"):
        for line in source.lines(file):
            # A prefix has no blanks; what follows may stand behind a tab or blanks.
            prefix, *rest = line.text.split(maxsplit=1)
            client_rules.want_client_rule(findings, prefix, "".join(rest), line)
    bofh.read_bofh(source, hostname, findings)
    for file in source.names("aliases"):
        read_aliases(source, file, hostname, findings)
    read_userdb(source, hostname, findings)
    _read_uucp(source, findings)
    _read_values(source, hostname, findings)
    daemon_options.read_daemons(source, findings)


def _read_domains(source: Source, hostname: str, findings: Findings) -> None:
    for file in source.names("hosteddomains"):
        for line in source.lines(file):
            name, *canonical = line.text.split()
            if not canonical or canonical[0].lower() == name.lower():
                findings.want_domain(name, DomainKind.HOSTED, line)
            elif canonical[0].lower() == hostname:
                findings.want_domain(name, DomainKind.LOCAL, line)
            else:
                findings.leave(line, f"only {hostname} can have further names")
    for file, kind in (
        ("locals", DomainKind.LOCAL),
        ("esmtpacceptmailfor", DomainKind.BACKUP),
        ("esmtpacceptmailfor.dir", DomainKind.BACKUP),
    ):
        for each in source.names(file):
            for line in source.lines(each):
                _ours(line, kind, findings)


def _ours(line: Line, kind: DomainKind, findings: Findings) -> None:
    name = line.text.strip()
    if name == "localhost":
        findings.leave(line, "localhost is a name of every host")
    elif name.startswith(("!", "*")):
        findings.leave(line, "exceptions and * have no equivalent")
    elif name.startswith(".") and kind is DomainKind.LOCAL:
        findings.leave(line, "each name of this host stands for itself: domain add --kind local")
    else:
        findings.want_domain(name, kind, line)


def _read_routes(source: Source, findings: Findings) -> None:
    """Courier takes the first that matches, we the most specific: what it never reaches is left."""
    taken: dict[str, Line] = {}
    for line in source.lines("esmtproutes"):
        domain, colon, text = (part.strip() for part in line.text.partition(":"))
        domain = domain.lower()
        match = _ROUTE.fullmatch(text)
        if not colon or match is None:
            findings.leave(line, "DOMAIN:RELAY[,PORT][/SECURITY=...] is expected")
            continue
        if before := _taken_before(domain, taken):
            findings.leave(line, f"never reached, since {before.origin} takes the domain first")
            continue
        taken[domain] = line
        if not match["host"]:
            findings.leave(line, "no relay: mail goes by MX where no route says else")
            continue
        values = _route_options(match["options"], line, findings)
        default = _SMTPS_PORT if values.get("security") == "SMTPS" else 25
        values |= {"relay": match["host"], "port": int(match["port"] or default)}
        findings.want(Kind.ROUTE, domain or "*", line, **values)


def _taken_before(domain: str, taken: dict[str, Line]) -> Line | None:
    labels = domain.lstrip(".").split(".")
    parents = ["." + ".".join(labels[at:]) for at in range(1, len(labels))]
    return next((taken[name] for name in (domain, *parents, "") if name in taken), None)


def _route_options(text: str, line: Line, findings: Findings) -> dict[str, object]:
    values: dict[str, object] = {}
    for option in filter(None, text.split("/")):
        name, _, value = option.partition("=")
        if name.upper() == "SECURITY":
            values["security"] = value.upper()
        else:
            findings.leave(line, f"/{option}: the route is made without it")
    return values


def _read_uucp(source: Source, findings: Findings) -> None:
    for file in source.names("uucpneighbors"):
        for line in source.lines(file):
            path, *flags = line.text.split(maxsplit=1)
            findings.want(Kind.UUCP, path, line, flags="".join(sorted("".join(flags))))
    if source.has("uucprewriteheaders"):
        # That it is there is all it says.
        line = Line(Origin("uucprewriteheaders"), "")
        findings.want(Kind.SETTING, "uucprewriteheaders", line, text="on")


def _read_values(source: Source, hostname: str, findings: Findings) -> None:
    for name in _VALUES:
        if line := source.first(name):
            text = line.text.strip()
            if (name, text) == ("sizelimit", "0"):
                findings.leave(line, "there is always a limit")
            else:
                findings.want(Kind.SETTING, _OTHER_NAMES.get(name, name), line, text=text)
    for name in _NAMES:
        line = source.first(name)
        if line and line.text.strip().lower() not in (hostname, "*"):
            findings.leave(line, f"our only name is {hostname} (COURIERWEB_HOSTNAME)")
    for name in _LEFT_WHOLE:
        if source.has(name):
            # Some of them hold passwords.
            findings.leave(Line(Origin(name), ""), "has no equivalent")
