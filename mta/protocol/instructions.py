"""Delivery instructions: what a `.courier` file says, line by line. Pure, for step 6.

A line names a mailbox, a command, or addresses to forward to; a backslash at the end of a command
or of addresses joins the next line. Whether a path is an mbox or a Maildir is seen on the disk.
Facts: spec 3.8.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mta.protocol import address
from mta.protocol.aliases_file import Kind as MemberKind
from mta.protocol.aliases_file import split_members

# What a dynamic command may print, and how deep such commands may call for each other.
MAX_DYNAMIC_OCTETS = 8191
MAX_DYNAMIC_DEPTH = 3
# Instructions are read into memory on behalf of whoever can write them.
MAX_TEXT = 64 << 10

_BLANKS = " \t"


class Kind(StrEnum):
    MAILBOX = "mailbox"
    COMMAND = "command"
    DYNAMIC = "dynamic"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of line `line` (from 1).

    `text` is a path for MAILBOX and a shell command for COMMAND and DYNAMIC; the `addresses` of
    FORWARD are whole. `is_directory` tells of a path that was written with a slash at its end.
    """

    kind: Kind
    line: int
    text: str = ""
    addresses: tuple[str, ...] = ()
    is_directory: bool = False


class InstructionError(ValueError):
    """A line that is no instruction; the message names the line."""


def parse(text: str, default_domain: str) -> tuple[Instruction, ...]:
    """The instructions in their order; none when there are only comments.

    A lone local part gets `default_domain`. Raises InstructionError, and then nothing of the text
    is to be carried out: half a file is not what its owner meant.
    """
    if len(text) > MAX_TEXT:
        raise InstructionError(f"more than {MAX_TEXT} characters of instructions")
    if "\0" in text:
        raise InstructionError("a zero octet in the instructions")
    return tuple(_instruction(*line, default_domain) for line in _logical_lines(text))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, continued ones joined, with the number of their first line."""
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        whole = line.removesuffix("\r")
        if not whole.strip() or whole.startswith("#"):
            continue
        while whole.endswith("\\") and not whole.startswith(("/", ".")):
            whole = whole[:-1] + next(lines, (0, ""))[1].removesuffix("\r")
        yield number, whole


def _instruction(number: int, line: str, default_domain: str) -> Instruction:
    if line.startswith(("/", ".")):
        path = line.rstrip(_BLANKS)
        bare = path.removesuffix("/") or path
        return Instruction(Kind.MAILBOX, number, bare, is_directory=bare != path)
    if line.startswith("|"):
        kind = Kind.DYNAMIC if line.startswith("||") else Kind.COMMAND
        command = line[2 if kind is Kind.DYNAMIC else 1 :].strip(_BLANKS)
        if not command:
            raise InstructionError(f"line {number}: a command is expected after the bar")
        return Instruction(kind, number, command)
    addresses = tuple(_addresses(number, line, default_domain))
    if not addresses:
        raise InstructionError(f"line {number}: an address is expected")
    return Instruction(Kind.FORWARD, number, addresses=addresses)


def _addresses(number: int, line: str, default_domain: str) -> Iterator[str]:
    text = line[1:] if line[0] in "&!" else line
    for member in split_members(text):
        if member.kind is not MemberKind.ADDRESS:
            raise InstructionError(f"line {number}: {member.text} is no address")
        # Words between blanks are addresses of their own; a quoted local part is one word.
        words = [member.text] if '"' in member.text else member.text.split()
        for word in words:
            yield _whole(number, word.lstrip("&!"), default_domain)


def _whole(number: int, word: str, default_domain: str) -> str:
    try:
        parsed = address.parse(word, need_domain=False)
    except address.AddressError as error:
        raise InstructionError(f"line {number}: {word}: {error}") from error
    return parsed if "@" in parsed else f"{parsed}@{default_domain}"
