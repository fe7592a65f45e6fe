"""What compiling a Sieve script gives: frozen commands and tests, each with its position.

Commands and tests are calls of one shape: what they may be given stands in `vocabulary`, what they
do in the modules that `evaluate` names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from mta.filters.sieve.matching import Comparison, Key
from mta.filters.sieve.syntax import Position
from mta.filters.sieve.templates import Template

# A string that is known, or one that depends on variables (RFC 5229).
Text = str | Template
Value = int | tuple[Text, ...]
_Wanted = TypeVar("_Wanted", int, tuple[Text, ...])


@dataclass(frozen=True, slots=True)
class Option:
    """A tagged argument: which of its group it is, and what follows it."""

    name: str
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A command or a test. `options` are by group ("match type", "index", ...).

    `comparison` and `keys` belong to tests that compare: how, and with what. `keys` are the last
    argument, prepared as far as that can be done before there is a message.
    """

    at: Position
    name: str
    options: Mapping[str, Option] = field(default_factory=dict)
    arguments: tuple[Value, ...] = ()
    tests: tuple["Call", ...] = ()
    comparison: Comparison | None = None
    keys: tuple[Key | Template, ...] = ()

    def has(self, group: str) -> bool:
        return group in self.options

    def texts(self, index: int) -> tuple[Text, ...]:
        return _checked(self.arguments[index], tuple)

    def number(self, index: int) -> int:
        return _checked(self.arguments[index], int)

    def option(self, group: str) -> str:
        """Which tag of the group was given, "" for none."""
        found = self.options.get(group)
        return found.name if found else ""

    def option_texts(self, group: str) -> tuple[Text, ...]:
        """What follows the tag, () when nothing does or it was not given."""
        found = self.options.get(group)
        return _checked(found.value, tuple) if found and found.value is not None else ()

    def option_number(self, group: str, default: int) -> int:
        found = self.options.get(group)
        return _checked(found.value, int) if found else default


def _checked(value: Value | None, kind: type[_Wanted]) -> _Wanted:
    """The vocabulary says what kind an argument is, so another one is a mistake of ours."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not what the vocabulary says")
    return value


@dataclass(frozen=True, slots=True)
class If:
    """The block of the first branch whose test holds is run; `else` has a true test."""

    at: Position
    branches: tuple[tuple[Call, tuple["Command", ...]], ...]


Command = If | Call


@dataclass(frozen=True, slots=True)
class Program:
    commands: tuple[Command, ...]
    capabilities: frozenset[str]

    @property
    def may_refuse(self) -> bool:
        """Can it come to reject or ereject? What it includes is not known, so it may."""
        return any(each.name in ("reject", "ereject", "include") for each in self.actions())

    @property
    def required_folders(self) -> frozenset[str]:
        """The folders it names without variables, and without making them by `:create`."""
        return frozenset(
            text
            for each in self.actions()
            if each.name == "fileinto" and not each.has("create")
            for text in each.texts(0)
            if isinstance(text, str)
        )

    def actions(self) -> Iterator[Call]:
        """All commands that are not `if`, wherever they stand."""
        waiting = list(reversed(self.commands))
        while waiting:
            command = waiting.pop()
            if isinstance(command, Call):
                yield command
            else:
                for _, block in reversed(command.branches):
                    waiting.extend(reversed(block))
