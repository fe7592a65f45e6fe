"""Compile, first half: text to commands with positions (RFC 5228, sections 2 and 8).

The tokens come from sievelib's lexer. Its parser is not used, for three reasons: its commands
do not know their line and column, which errors and traces must name; the extensions a script
has loaded are one global of the process, so two threads that compile disturb each other; and
its grammar of known commands is global as well. The generic grammar of RFC 5228 is small.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sievelib.parser import Lexer, ParseError, Parser

MAX_SCRIPT_OCTETS = 128 << 10
MAX_NESTING = 15

_SCALE = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# A multi-line string begins with nothing but blanks or a comment behind "text:", and a quoted
# pair may be a backslash before a line end: both are stricter or wider than sievelib has them.
_REPAIRED = {
    b"multiline": rb"(?i:text):[ \t]*(?:\#[^\n]*)?\r?\n(?:[^\n]*\n)*?\.\r?$",
    b"string": rb'"(?:[^"\\]|\\[\s\S])*"',
}


class SieveError(Exception):
    """The script cannot be used. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(f"line {line}, column {column}: {text}")
        self.line, self.column, self.text = line, column, text


@dataclass(frozen=True, slots=True)
class Position:
    line: int
    column: int

    def error(self, text: str) -> SieveError:
        return SieveError(self.line, self.column, text)


@dataclass(frozen=True, slots=True)
class Tag:
    """An argument like `:contains`, in lower case without its colon."""

    name: str
    at: Position


class Strings(tuple[str, ...]):
    """A string or a list of strings, each with its position."""

    positions: tuple[Position, ...]

    @classmethod
    def found(cls, texts: Iterable[tuple[str, Position]]) -> "Strings":
        pairs = tuple(texts)
        strings = cls(text for text, _ in pairs)
        strings.positions = tuple(at for _, at in pairs)
        return strings


Argument = Tag | int | Strings


@dataclass(frozen=True, slots=True)
class Node:
    """A command or a test as it is written. A string is a list of one string."""

    name: str
    at: Position
    arguments: tuple[Argument, ...]
    tests: tuple["Node", ...]
    block: tuple["Node", ...] | None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: Position


def parse(text: str) -> tuple[Node, ...]:
    """Raises SieveError."""
    octets = text.encode("utf-8", "replace")
    if len(octets) > MAX_SCRIPT_OCTETS:
        raise SieveError(1, 1, f"the script is longer than {MAX_SCRIPT_OCTETS} octets")
    return _Grammar(list(_tokens(octets))).commands(0)


def _tokens(octets: bytes) -> Iterator[_Token]:
    lexer = Lexer([(name, _REPAIRED.get(name, rule)) for name, rule in Parser.lrules])
    starts = [0, *(each.end() for each in re.finditer(b"\n", octets))]

    def here() -> Position:
        line = bisect_right(starts, lexer.pos)
        return Position(line, lexer.pos - starts[line - 1] + 1)

    try:
        for kind, found in lexer.scan(octets):
            if kind not in ("hash_comment", "bracket_comment"):
                yield _Token(kind, found.decode("utf-8"), here())
    except ParseError as error:
        raise here().error(f"this is no Sieve: {error.msg}") from error
    at = here()
    yield _Token("end", "the end of the script", at)


class _Grammar:
    """RFC 5228, section 8.2, by recursive descent."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def commands(self, depth: int) -> tuple[Node, ...]:
        """The commands up to the end of the script, or of the block when `depth` > 0."""
        end = "right_cbracket" if depth else "end"
        found = []
        while not self._take(end):
            found.append(self._command(depth))
        return tuple(found)

    def _command(self, depth: int) -> Node:
        name = self._expect("identifier", "a command")
        arguments, tests = self._arguments(depth)
        block = None
        if self._take("left_cbracket"):
            self._check_depth(depth + 1)
            block = self.commands(depth + 1)
        else:
            self._expect("semicolon", f'";" after "{name.text}"')
        return Node(name.text.lower(), name.at, arguments, tests, block)

    def _test(self, depth: int) -> Node:
        self._check_depth(depth)
        name = self._expect("identifier", "a test")
        arguments, tests = self._arguments(depth)
        return Node(name.text.lower(), name.at, arguments, tests, None)

    def _arguments(self, depth: int) -> tuple[tuple[Argument, ...], tuple[Node, ...]]:
        arguments: list[Argument] = []
        while (argument := self._argument()) is not None:
            arguments.append(argument)
        tests: list[Node] = []
        if self._take("left_parenthesis"):
            tests.append(self._test(depth + 1))
            while self._take("comma"):
                tests.append(self._test(depth + 1))
            self._expect("right_parenthesis", '")" or ","')
        elif self._tokens[self._next].kind == "identifier":
            tests.append(self._test(depth + 1))
        return tuple(arguments), tuple(tests)

    def _argument(self) -> Argument | None:
        if token := self._take("tag"):
            return Tag(token.text[1:].lower(), token.at)
        if token := self._take("number"):
            return _number(token)
        if token := self._take("string") or self._take("multiline"):
            return Strings.found([(_string(token), token.at)])
        return self._strings() if self._take("left_bracket") else None

    def _strings(self) -> Strings:
        found = [self._expect("string", "a string")]
        while self._take("comma"):
            found.append(self._expect("string", "a string"))
        self._expect("right_bracket", '"]" or ","')
        return Strings.found((_string(token), token.at) for token in found)

    def _take(self, kind: str) -> _Token | None:
        token = self._tokens[self._next]
        if token.kind != kind:
            return None
        if kind != "end":
            self._next += 1
        return token

    def _expect(self, kind: str, wanted: str) -> _Token:
        if token := self._take(kind):
            return token
        found = self._tokens[self._next]
        raise found.at.error(f"expected {wanted}, found {found.text[:40]!r}")

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_NESTING:
            raise self._tokens[self._next].at.error(f"nested deeper than {MAX_NESTING} levels")


def _number(token: _Token) -> int:
    scale = _SCALE.get(token.text[-1].lower())
    digits = token.text[:-1] if scale else token.text
    if len(digits) > 18:
        raise token.at.error("the number is too large")
    return int(digits) * (scale or 1)


def _string(token: _Token) -> str:
    if token.kind == "string":
        return re.sub(r"\\([\s\S])", r"\1", token.text[1:-1])
    lines = token.text.split("\n")[1:-1]
    return "".join((line[1:] if line.startswith("..") else line) + "\n" for line in lines)
