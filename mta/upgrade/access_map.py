"""sendmail's access map, from its source text: `[TAG:]KEY ACTION`."""

import re

from mta.upgrade.client_rules import networks
from mta.upgrade.findings import DomainKind, Findings, Kind, Line
from mta.upgrade.source import Source

# An IPv4 prefix, or what has the colons of IPv6.
NETWORK = re.compile(r"[\d.]+(?:/\d+)?\Z|IPv6:|\[|[0-9a-f]*:[0-9a-f:.]*(?:/\d+)?\Z", re.IGNORECASE)

_TAGGED = re.compile(r"(?!IPv6:)([A-Za-z_]+):(.*)")
_CODED = re.compile(r'(?:ERROR:)?(?:\d\.\d{1,3}\.\d{1,3}:)?"?(5\d\d[ -].*?)"?\Z', re.IGNORECASE)
_RELAY, _OK, _REJECT = "RELAY", "OK", "REJECT"


def read_access(source: Source, findings: Findings) -> None:
    for line in source.lines("access"):
        key, *rest = line.text.split(maxsplit=1)
        action = "".join(rest).strip()
        match = _TAGGED.match(key)
        tag, subject = (match.group(1).lower(), match.group(2)) if match else ("", key)
        if not action or not subject:
            findings.leave(line, "KEY ACTION is expected")
        elif tag not in ("", "connect", "from", "to"):
            # Behind AuthInfo: stands a password.
            findings.leave(Line(line.origin, key), f"{tag}: has no equivalent")
        elif NETWORK.match(subject) and tag in ("", "connect"):
            _client(subject, action, line, findings)
        elif tag == "connect":
            findings.leave(line, "clients are known by their addresses only")
        elif action.upper() == _RELAY and tag in ("", "to"):
            _relay_domain(subject, tag, line, findings)
        elif tag in ("", "from"):
            _sender(subject, action, line, findings)
        else:
            findings.leave(line, "rules about a recipient have no equivalent")


def want_networks(findings: Findings, prefix: str, line: Line, /, **values: object) -> None:
    """An access rule for "192.168", "[192.0.2.1]" or "IPv6:2001:db8"."""
    bare = re.sub(r"\[|\]|IPv6:", "", prefix, flags=re.IGNORECASE)
    try:
        for network in networks(bare):
            findings.want(Kind.ACCESS, network, line, **values)
    except ValueError as error:
        findings.leave(line, str(error))


def want_relay_domain(findings: Findings, name: str, line: Line) -> None:
    """In sendmail a domain stands for its sub-domains as well."""
    findings.want_domain(name, DomainKind.BACKUP, line)
    if not name.startswith("."):
        findings.want_domain(f".{name}", DomainKind.BACKUP, line)


def _client(subject: str, action: str, line: Line, findings: Findings) -> None:
    coded = _CODED.match(action)
    word = action.upper()
    if word in (_RELAY, _OK):
        want_networks(findings, subject, line, action="allow", relay=word == _RELAY)
    elif word == _REJECT:
        want_networks(findings, subject, line, action="deny", relay=False)
    elif coded:
        want_networks(findings, subject, line, action="block", relay=False, text=coded.group(1))
    else:
        findings.leave(line, f"{action} has no equivalent in an access rule")


def _relay_domain(subject: str, tag: str, line: Line, findings: Findings) -> None:
    if "@" in subject:
        findings.leave(line, "relaying for one address has no equivalent")
        return
    want_relay_domain(findings, subject, line)
    if not tag:
        findings.leave(
            line, "carried over for mail to it; its hosts may not relay: name their networks"
        )


def _sender(subject: str, action: str, line: Line, findings: Findings) -> None:
    """The words of a refusal are ours; that it is one counts."""
    if action.upper() != _REJECT and not _CODED.match(action):
        findings.leave(line, f"{action} has no equivalent for a return address")
    elif subject.endswith("@"):
        findings.leave(line, "a name in every domain has no equivalent")
    elif "@" in subject:
        findings.want(Kind.BAD_SENDER, subject.lower(), line)
    else:
        for pattern in (f"@{subject}", f"@.{subject}"):
            findings.want(Kind.BAD_SENDER, pattern.lower(), line)
