"""The systems whose configuration can be read, by name."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from mta.upgrade import courier, qmail, sendmail
from mta.upgrade.findings import Findings
from mta.upgrade.source import Source


class System(StrEnum):
    SENDMAIL = "sendmail"
    QMAIL = "qmail"
    COURIER = "courier"


_READERS: dict[System, Callable[[Source, str, Findings], None]] = {
    System.SENDMAIL: sendmail.read,
    System.QMAIL: qmail.read,
    System.COURIER: courier.read,
}


def read(system: System, directory: Path, hostname: str) -> Findings:
    """What the configuration says; `hostname` is our name, which short names belong to."""
    findings = Findings()
    _READERS[system](Source(directory, findings), hostname, findings)
    return findings
