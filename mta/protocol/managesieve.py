"""ManageSieve (RFC 5804): how commands are read and how replies are written. No I/O.

A command is read by a generator that yields what it wants of the wire, is sent it, and returns
what it has read:

    LINE             the next line, without its CRLF
    Octets(count)    exactly so many octets; with `kept` false they are to be thrown away, and
                     b"" is sent

So whatever is too long, or wrong, is still read to its end: the tail of a refused script is never
taken for commands.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum

# The longest line we read: a SASL response of the largest size in base64, and a verb.
MAX_LINE = 12288
# What stands in a quoted string of ours (RFC 5804 section 4).
MAX_QUOTED = 1024
# A literal beyond what is allowed is skipped when it is not longer than this.
MAX_SKIPPED = 4 * 1024 * 1024
MAX_ARGUMENTS = 4

_ATOM = re.compile(rb"[A-Za-z0-9!#$%&'*+,./:;<=>?@^_`|~-]{1,64}")
_LITERAL = re.compile(rb"(?:\A| )\{([0-9]{1,19})(\+?)\}\Z")
_ARGUMENT = re.compile(rb'(?:"(?P<quoted>(?:[^"\\\0]|\\["\\])*)"|(?P<number>[0-9]{1,10}))(?: |\Z)')
_ESCAPED = re.compile(rb"\\(.)")
_NEEDS_LITERAL = re.compile("[\0\r\n]")

Argument = str | int


class BadCommand(ValueError):
    """It was read to its end and cannot be meant; the text says why. `code` is for the reply."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Hopeless(BadCommand):
    """Nor is it known where it ends: the connection must."""


@dataclass(frozen=True, slots=True)
class Line:
    pass


@dataclass(frozen=True, slots=True)
class Octets:
    count: int
    kept: bool = True


LINE = Line()
Wanted = Line | Octets


@dataclass(frozen=True, slots=True)
class Command:
    """`verb` is in upper case."""

    verb: str
    arguments: tuple[Argument, ...]


def read_command(room: int) -> Generator[Wanted, bytes, Command]:
    """The next command, its literals of at most `room` octets together. Raises BadCommand."""
    line = yield LINE
    verb = _ATOM.match(line)
    rest = line[verb.end() :] if verb else line
    problem = None if verb and (not rest or rest.startswith(b" ")) else BadCommand("no command")
    arguments = yield from _arguments(rest.removeprefix(b" "), room, problem)
    assert verb is not None
    return Command(verb[0].decode("ascii").upper(), arguments)


def read_string(room: int) -> Generator[Wanted, bytes, str]:
    """One string on a line by itself, which is how a SASL response comes (section 2.1). Raises
    BadCommand."""
    line = yield LINE
    arguments = yield from _arguments(line, room, None)
    match arguments:
        case (str() as text,):
            return text
    raise BadCommand("a string was expected")


def _arguments(
    line: bytes, room: int, problem: BadCommand | None
) -> Generator[Wanted, bytes, tuple[Argument, ...]]:
    """The arguments from here to the end of the command. A `problem` is raised at that end."""
    found: list[Argument] = []
    literals = 0
    while True:
        literal = _LITERAL.search(line)
        try:
            found += _plain(line[: literal.start()] if literal else line)
        except BadCommand as error:
            problem = problem or error
        if literal is None:
            break
        literals += 1
        octets = yield _literal(literal, room, literals)
        if len(octets) < int(literal[1]):
            problem = problem or BadCommand("that is too long", "QUOTA/MAXSIZE")
        room -= len(octets)
        try:
            found.append(_text(octets))
        except BadCommand as error:
            problem = problem or error
        line = yield LINE
        if line and not line.startswith(b" "):
            problem = problem or BadCommand("a space or the end of the line was expected")
        line = line.removeprefix(b" ")
    if len(found) > MAX_ARGUMENTS:
        problem = problem or BadCommand("too many arguments")
    if problem is not None:
        raise problem
    return tuple(found)


def _literal(match: re.Match[bytes], room: int, number: int) -> Octets:
    """How to read a literal. Raises Hopeless."""
    count = int(match[1])
    if not match[2]:
        # Section 4, literal-c2s: a client does not wait for leave to go on.
        raise Hopeless("a literal is announced by {length+}")
    if count > MAX_SKIPPED:
        raise Hopeless("that is much too long", "QUOTA/MAXSIZE")
    if number > MAX_ARGUMENTS:
        raise Hopeless("too many arguments")
    return Octets(count, kept=count <= room)


def _plain(line: bytes) -> list[Argument]:
    """Quoted strings and numbers, one space between them. Raises BadCommand."""
    found: list[Argument] = []
    at = 0
    while at < len(line):
        match = _ARGUMENT.match(line, at)
        if match is None:
            raise BadCommand("the arguments are strings in quotes, literals and numbers")
        if match["number"] is not None:
            found.append(int(match["number"]))
        else:
            found.append(_text(_ESCAPED.sub(rb"\1", match["quoted"])))
        at = match.end()
    return found


def _text(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCommand("strings are in UTF-8") from None
    if "\0" in text:
        raise BadCommand("a NUL may not be in a string")
    return text


class Word(StrEnum):
    OK = "OK"
    NO = "NO"
    BYE = "BYE"


@dataclass(frozen=True, slots=True)
class Reply:
    """`code` is what stands in parentheses (section 1.3); `data` are whole lines before it."""

    word: Word
    text: str = ""
    code: str = ""
    data: bytes = b""

    def encode(self) -> bytes:
        code = f" ({self.code})".encode() if self.code else b""
        text = b" " + string(self.text) if self.text else b""
        return self.data + self.word.value.encode() + code + text + b"\r\n"


def string(text: str) -> bytes:
    """Quoted where that is allowed, or else a literal."""
    octets = text.encode("utf-8", "replace")
    if len(octets) > MAX_QUOTED or _NEEDS_LITERAL.search(text):
        return b"{%d}\r\n%s" % (len(octets), octets)
    return b'"%s"' % octets.replace(b"\\", rb"\\").replace(b'"', rb"\"")
