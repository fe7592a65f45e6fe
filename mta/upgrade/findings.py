"""What a reader found in a configuration: rows to have, and lines without an equivalent.

The readers (`sendmail`, `qmail`, `courier`) know nothing of the database; `plan` compares what they
found with what is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a row is, in the words of the commands."""

    DOMAIN = "domain"
    MAILBOX = "mailbox"
    ALIAS = "alias"
    ROUTE = "route"
    ACCESS = "access"
    BAD_SENDER = "badsender"
    BAD_HOST = "badmx"
    FREEMAIL = "freemail"
    SPAM_TRAP = "spamtrap"
    DNS_LIST = "dnslist"
    UUCP = "uucp"
    SETTING = "setting"


class DomainKind(StrEnum):
    """The values of `mta.models.Domain.Kind`; the later one wins where files disagree."""

    BACKUP = "backup"
    LOCAL = "local"
    HOSTED = "hosted"


_RANK = list(DomainKind)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where it stands; `line` counts from 1 and is 0 for the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Line:
    origin: Origin
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row: the value of its key, and of the fields the configuration has a word on.

    `excuse` is the reason to give when this version cannot have such a row; "" for what the
    model says.
    """

    kind: Kind
    key: str
    origin: Origin
    values: Mapping[str, Any] = field(default_factory=dict)
    excuse: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A line that is not carried over, and why."""

    origin: Origin
    text: str
    reason: str


class Findings:
    """Gathers what is found; the first word on a row counts, members of aliases add up."""

    def __init__(self) -> None:
        self.left: list[Left] = []
        self._rows: dict[tuple[Kind, str], Wanted] = {}

    @property
    def wanted(self) -> Sequence[Wanted]:
        return tuple(self._rows.values())

    def leave(self, line: Line, reason: str) -> None:
        self.left.append(Left(line.origin, line.text.strip().expandtabs(1), reason))

    def want(self, kind: Kind, key: str, line: Line, /, **values: Any) -> None:
        row = Wanted(kind, key, line.origin, values)
        known = self._rows.setdefault((kind, key), row)
        if known.values != row.values:
            self.leave(line, f"{known.origin} says otherwise and stands first")

    def want_domain(self, name: str, kind: DomainKind, line: Line) -> None:
        """A domain may stand in several files: what makes it most ours counts."""
        name = name.lower().rstrip(".")
        known = self._rows.get((Kind.DOMAIN, name))
        if known is None or _RANK.index(known.values["kind"]) < _RANK.index(kind):
            self._rows[Kind.DOMAIN, name] = Wanted(Kind.DOMAIN, name, line.origin, {"kind": kind})

    def want_alias(self, name: str, targets: Sequence[str], line: Line, excuse: str = "") -> None:
        known = self._rows.get((Kind.ALIAS, name))
        before = known.values["targets"] if known else []
        self._rows[Kind.ALIAS, name] = Wanted(
            Kind.ALIAS,
            name,
            known.origin if known else line.origin,
            {"targets": list(dict.fromkeys([*before, *targets]))},
            excuse or (known.excuse if known else ""),
        )


def definitions(lines: Iterator[Line]) -> Iterator[Line]:
    """Lines that begin with a blank joined to the one before."""
    gathered: Line | None = None
    for line in lines:
        if gathered is not None and line.text[0] in " \t":
            gathered = Line(gathered.origin, gathered.text + line.text)
            continue
        if gathered is not None:
            yield gathered
        gathered = line
    if gathered is not None:
        yield gathered
