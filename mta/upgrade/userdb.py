"""Courier's userdb as mailboxes: `address<TAB>field=value|field=value` (spec 9.6)."""

import re

from mta.protocol import sha_crypt
from mta.upgrade.findings import DomainKind, Findings, Kind, Line, Origin
from mta.upgrade.source import Source

# The password of the service that lets people send mail, then what stands in for it.
_PASSWORDS = ("esmtppw", "smtppw", "systempw", "imappw", "pop3pw")
_QUOTA = re.compile(r"(\d+)S")
_KNOWN = {*_PASSWORDS, "quota", "gecos", "name", "home", "mail", "uid", "gid", "shell"}
_MAIL = (
    "mail already delivered is not moved: copy each Maildir to HOME/mail/DOMAIN/LOCALPART/Maildir"
)
# How Django names the hasher in front of what crypt(3) made.
_HASHER = "sha_crypt"


def read_userdb(source: Source, hostname: str, findings: Findings) -> None:
    """Every account as a mailbox; one without a domain is of `hostname`."""
    accounts = [line for name in source.names("userdb") for line in source.lines(name)]
    for line in accounts:
        account, tab, text = line.text.partition("\t")
        if not tab:
            findings.leave(_without_secrets(line), "ADDRESS, a tab and its fields are expected")
            continue
        address = account.strip().lower()
        address = address if "@" in address else f"{address}@{hostname}"
        line = Line(line.origin, address)
        _mailbox(address, _fields(text), line, findings)
    if accounts:
        findings.leave(Line(Origin("userdb"), ""), _MAIL)


def _mailbox(address: str, fields: dict[str, str], line: Line, findings: Findings) -> None:
    values: dict[str, object] = {}
    if quota := _QUOTA.search(fields.get("quota", "")):
        values["quota"] = int(quota.group(1))
    if name := fields.get("gecos") or fields.get("name"):
        values["name"] = name.partition(",")[0]
    encoded = next((fields[each] for each in _PASSWORDS if fields.get(each)), "")
    if sha_crypt.is_readable(encoded):
        values["password"] = f"{_HASHER}{encoded}"
    else:
        findings.leave(line, f"the password must be set again: mailbox password {address}")
    for field in fields.keys() - _KNOWN:
        findings.leave(Line(line.origin, f"{address} {field}"), "has no equivalent")
    findings.want_domain(address.rpartition("@")[2], DomainKind.HOSTED, line)
    findings.want(Kind.MAILBOX, address, line, **values)


def _fields(text: str) -> dict[str, str]:
    pairs = (field.partition("=") for field in text.strip().split("|"))
    return {name.strip(): value for name, _, value in pairs}


def _without_secrets(line: Line) -> Line:
    """A line that cannot be read may still hold a password."""
    return Line(line.origin, line.text.partition("|")[0].partition("=")[0])
