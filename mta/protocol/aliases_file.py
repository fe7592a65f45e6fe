"""The sendmail aliases file, as Courier's makealiases reads it.

    # a comment
    name: address, "quoted local"@example.org, Some Body <body@example.org>,
        :include:/a/list/of/addresses
    @example.org: everyone.else@example.com
    @example.net: account

A line that begins with a blank goes on with the one before. Definitions of one name add up.
A name or an address without a domain belongs to the default domain, except for the account of a
virtual domain (`mta.protocol.virtual_domain`). Members may be files and commands, too: `/file`,
`"|command with arguments"`.

Lists are included when the file is read, as Courier does it (spec 3.6), and not when mail comes:
what an alias stands for is then a row like any other, with its history, the same on every host;
and nobody who may write a file gets to change policy, or to have the server read a file for him.
For the same reason a list may name addresses only: its files and commands are reported, apart from
plain mistakes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from mta.protocol import address, alias_program, virtual_domain

MAX_INCLUDE_DEPTH = 10

_INCLUDE = ":include:"
# What may hold a comma, a colon or an angle that separates nothing.
_PIECE = re.compile(
    r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)|<[^<>]*>|\\.|[^"(<\\,]|["(<\\]', re.DOTALL
)
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
_ANGLE = re.compile(r"<([^<>]*)>\s*\Z")
_QUOTED_ADDRESS = re.compile(r'"[^"\\@\s]+@[^"\\@\s]+"')
_NAME = re.compile(r'\s*((?:"(?:[^"\\]|\\.)*"|[^":])+?)\s*:(.*)', re.DOTALL)


class Kind(StrEnum):
    """What a member of an alias is."""

    ADDRESS = "address"
    INCLUDE = "include"
    FILE = "file"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Member:
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in line `line` (from 1) of the aliases file."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


@dataclass(slots=True)
class AliasTable:
    """What a file means: the targets of each name, each once, in the order they were given.

    `mistakes` cannot be read at all; `unsupported` is understood but cannot be had here.
    """

    entries: dict[str, list[str]] = field(default_factory=dict)
    mistakes: list[Problem] = field(default_factory=list)
    unsupported: list[Problem] = field(default_factory=list)


def load(text: str, default_domain: str, read: Callable[[str], str]) -> AliasTable:
    """Read an aliases file. `read(path)` gives the text of an included file or raises OSError."""
    loader = _Loader(default_domain, read)
    for number, line in _logical_lines(text):
        loader.add_line(number, line)
    return loader.table


def split_members(text: str) -> list[Member]:
    """The members of a comma separated list; commas in quotes, comments and angles stay."""
    members = []
    start = position = 0
    while position <= len(text):
        match = _PIECE.match(text, position)
        if match is not None:
            position = match.end()
            continue
        # Only a comma, or the end, is no piece.
        member = text[start:position].strip()
        if member:
            members.append(_member(member))
        position += 1
        start = position
    return members


class _Loader:
    """Gathers definitions into one table."""

    def __init__(self, default_domain: str, read: Callable[[str], str]) -> None:
        self.table = AliasTable()
        self._domain = default_domain
        self._read = read

    def add_line(self, number: int, line: str) -> None:
        match = _NAME.fullmatch(line)
        if match is None:
            self._mistake(number, "NAME: MEMBERS is expected")
            return
        try:
            name = self._name(match.group(1))
        except address.AddressError as error:
            self._mistake(number, f"{match.group(1)}: {error}")
            return
        for member in split_members(match.group(2)):
            self._add_member(number, name, member, depth=0)

    def _add_member(self, number: int, name: str, member: Member, depth: int) -> None:
        match member.kind:
            case Kind.FILE | Kind.COMMAND if depth:
                what = f"the {member.kind} {member.text}"
                self._unsupported(number, f"{name}: a list that is included names {what}")
            case Kind.FILE | Kind.COMMAND:
                self._add_instruction(number, name, member.text)
            case Kind.INCLUDE:
                self._include(number, name, member.text, depth)
            case Kind.ADDRESS:
                self._add_address(number, name, member.text)

    def _add_instruction(self, number: int, name: str, text: str) -> None:
        try:
            self._add_target(name, alias_program.parse(text))
        except alias_program.BadMember as error:
            self._mistake(number, f"{text}: {error}")

    def _add_address(self, number: int, name: str, text: str) -> None:
        try:
            self._add_target(name, self._target(name, text))
        except address.AddressError as error:
            self._mistake(number, f"{text}: {error}")

    def _add_target(self, name: str, target: str) -> None:
        targets = self.table.entries.setdefault(name, [])
        if target not in targets:
            targets.append(target)

    def _include(self, number: int, name: str, path: str, depth: int) -> None:
        if not path.startswith("/"):
            self._mistake(number, f"{_INCLUDE}{path}: an absolute path is needed")
            return
        if depth == MAX_INCLUDE_DEPTH:
            self._mistake(number, f"{_INCLUDE}{path}: lists include each other too deeply")
            return
        try:
            text = self._read(path)
        except (OSError, UnicodeDecodeError) as error:
            self._mistake(number, f"{_INCLUDE}{path}: cannot be read: {error}")
            return
        for line in text.splitlines():
            if not line.lstrip().startswith("#"):
                for member in split_members(line):
                    self._add_member(number, name, member, depth + 1)

    def _target(self, name: str, text: str) -> str:
        return virtual_domain.parse_target(text) if name[0] == "@" else self._with_domain(text)

    def _name(self, text: str) -> str:
        if text.startswith("@"):
            return "@" + address.normalize_domain(text[1:])
        return self._with_domain(text).lower()

    def _with_domain(self, text: str) -> str:
        """A whole address; one that somebody quoted as a whole is meant without the quotes."""
        if _QUOTED_ADDRESS.fullmatch(text):
            text = text[1:-1]
        parsed = address.parse(text, need_domain=False)
        return parsed if "@" in parsed else f"{parsed}@{self._domain}"

    def _mistake(self, line: int, text: str) -> None:
        self.table.mistakes.append(Problem(line, text))

    def _unsupported(self, line: int, text: str) -> None:
        self.table.unsupported.append(Problem(line, text))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Definitions with their continuation lines joined, and the number of their first line."""
    first, gathered = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t" and gathered:
            gathered += line
            continue
        if gathered:
            yield first, gathered
        first, gathered = number, line
    if gathered:
        yield first, gathered


def _member(text: str) -> Member:
    """One member by its looks; what is quoted as a whole is looked at without its quotes."""
    bare = text
    if len(text) > 1 and text[0] == text[-1] == '"':
        bare = re.sub(r"\\(.)", r"\1", text[1:-1]).strip()
    if bare.lower().startswith(_INCLUDE):
        return Member(Kind.INCLUDE, bare[len(_INCLUDE) :].strip())
    if bare.startswith("|"):
        return Member(Kind.COMMAND, bare)
    if bare.startswith("/") and "@" not in bare:
        return Member(Kind.FILE, bare)
    return Member(Kind.ADDRESS, _bare_address(text))


def _bare_address(text: str) -> str:
    """The address of "Some Body <body@example.org>" or "body (Some Body)"; "\\bob" is bob."""
    text = text.removeprefix("\\")
    angle = _ANGLE.search(text)
    if angle is not None:
        return angle.group(1).strip()
    return _COMMENT.sub(" ", text).strip() if not text.startswith('"') else text
