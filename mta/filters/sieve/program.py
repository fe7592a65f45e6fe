"""What compiling a Sieve script gives: frozen commands and tests, each with its position."""

import enum
from dataclasses import dataclass

from mta.filters.sieve.syntax import Position


class Match(enum.Enum):
    IS = "is"
    CONTAINS = "contains"
    MATCHES = "matches"


class Part(enum.Enum):
    ALL = "all"
    LOCALPART = "localpart"
    DOMAIN = "domain"


class Subject(enum.Enum):
    HEADER = "header"
    ADDRESS = "address"
    ENVELOPE = "envelope"


@dataclass(frozen=True, slots=True)
class Compare:
    at: Position
    subject: Subject
    names: tuple[str, ...]
    keys: tuple[str, ...]
    match: Match
    part: Part
    fold_case: bool


@dataclass(frozen=True, slots=True)
class Exists:
    at: Position
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """`limit` is in octets."""

    at: Position
    over: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Constant:
    at: Position
    value: bool


@dataclass(frozen=True, slots=True)
class Several:
    """allof when `every`, else anyof."""

    at: Position
    every: bool
    tests: tuple["Test", ...]


@dataclass(frozen=True, slots=True)
class Not:
    at: Position
    test: "Test"


Test = Compare | Exists | Size | Constant | Several | Not


@dataclass(frozen=True, slots=True)
class If:
    """The block of the first branch whose test holds is run; `else` has a true test."""

    at: Position
    branches: tuple[tuple[Test, tuple["Command", ...]], ...]


class Verb(enum.Enum):
    KEEP = "keep"
    DISCARD = "discard"
    STOP = "stop"
    FILEINTO = "fileinto"
    REDIRECT = "redirect"
    REJECT = "reject"
    EREJECT = "ereject"


@dataclass(frozen=True, slots=True)
class Act:
    """`value` is the folder, the address or the text of the refusal."""

    at: Position
    verb: Verb
    value: str = ""
    copy: bool = False


Command = If | Act


@dataclass(frozen=True, slots=True)
class Program:
    commands: tuple[Command, ...]
    capabilities: frozenset[str]

    @property
    def may_refuse(self) -> bool:
        """Whether it can come to a reject or ereject, whatever the message is."""
        return _may_refuse(self.commands)


def _may_refuse(commands: tuple[Command, ...]) -> bool:
    for command in commands:
        if isinstance(command, Act):
            if command.verb in (Verb.REJECT, Verb.EREJECT):
                return True
        elif any(_may_refuse(block) for _, block in command.branches):
            return True
    return False
