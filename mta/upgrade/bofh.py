"""Courier's bofh file: whose mail is not wanted (spec 2.17)."""

from mta.upgrade.findings import Findings, Kind, Line
from mta.upgrade.source import Source

_OPTIONS = {
    "BOFHCHECKHELO": "checkhelo",
    "BOFHHEADERLIMIT": "headerlimit",
    "BOFHSPFHELO": "spf_helo",
    "BOFHSPFMAILFROM": "spf_mailfrom",
    "BOFHSPFFROM": "spf_from",
    "BOFHSPFHARDERROR": "spf_harderror",
    "BOFHSPFTRUSTME": "spf_trustme",
    "BOFHSPFNOVERBOSE": "spf_noverbose",
    "BOFHCHECKDNS": "checkdns",
}


def read_bofh(source: Source, hostname: str, findings: Findings) -> None:
    for line in source.lines("bofh"):
        word, *values = line.text.split()
        if not values:
            findings.leave(line, "a value is expected")
            continue
        match word:
            case "badfrom":
                findings.want(Kind.BAD_SENDER, values[0].lower(), line)
            case "badmx":
                findings.want(Kind.BAD_HOST, values[0], line)
            case "freemail":
                findings.want(
                    Kind.FREEMAIL, values[0].lower(), line, partners=" ".join(values[1:]).lower()
                )
            case "spamtrap":
                trap = values[0] if "@" in values[0] else f"{values[0]}@{hostname}"
                findings.want(Kind.SPAM_TRAP, trap.lower(), line)
            case "maxrcpts":
                findings.want(Kind.SETTING, "maxrcpts", line, text=values[0])
                hard = "on" if "hard" in values[1:] else "off"
                findings.want(Kind.SETTING, "maxrcpts_hard", line, text=hard)
            case "opt":
                _option("".join(values), line, findings)
            case _:
                findings.leave(line, f"{word} is not known")


def _option(text: str, line: Line, findings: Findings) -> None:
    name, _, value = text.partition("=")
    if name in _OPTIONS:
        findings.want(Kind.SETTING, _OPTIONS[name], line, text=value)
    elif name == "BOFHSUPPRESSBACKSCATTER":
        word = "off" if value == "none" else "on"
        findings.want(Kind.SETTING, "suppress_backscatter", line, text=word)
    else:
        findings.leave(line, f"{name} has no equivalent")
