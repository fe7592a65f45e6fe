"""What is said on the socket of a courierfilter program (courierfilter(8)).

It is told the paths of files: the message, then what Courier calls control files, then an empty
line. It answers as an SMTP server would, and the first digit of that means more than in SMTP.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mta.protocol.reply import Reply, parse_reply

MAX_ANSWER = 64 * 1024

_LINE = re.compile(r"([0-9])([0-9]{2})(?:([- ])(.*))?")
_MOST_LINES = 100


class Word(Enum):
    """NEXT: ask the next filter. DONE: take the message and ask no other."""

    NEXT = "next"
    DONE = "done"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Answer:
    """`reply` is what was said, for REFUSE as the client is to hear it."""

    word: Word
    reply: Reply


def request(data: Path, controls: Sequence[Path]) -> bytes:
    """Raises ValueError when a path would be two."""
    paths = [bytes(path) for path in (data, *controls)]
    if any(b"\n" in path for path in paths):
        raise ValueError("a path with a line end")
    return b"".join(path + b"\n" for path in paths) + b"\n"


def parse(octets: bytes) -> Answer:
    """All that came until the filter closed the connection. Raises ValueError.

    What begins with 4 or 5 refuses, however it goes on, and so does what does not begin with a
    digit: that is a filter which falls over and says why.
    """
    lines = octets.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n").split("\n")
    if lines == [""]:
        raise ValueError("it closed the connection without an answer")
    matches = [_LINE.fullmatch(line) for line in lines]
    found = [match for match in matches if match]
    is_whole = len(found) == len(lines) and all(match[3] == "-" for match in found[:-1])
    if is_whole and found[-1][3] != "-":
        return _answer(found)
    if lines[0][0] in "01236789":
        raise ValueError(f"it answered {lines[0][:80]!r}, which is no reply")
    code = 450 if lines[0].startswith("4") else 550
    return Answer(Word.REFUSE, Reply(code, f"{code // 100}.7.1", "\n".join(lines[:_MOST_LINES])))


def _answer(lines: list[re.Match[str]]) -> Answer:
    first, rest = lines[0][1], lines[0][2]
    texts = [line[4] or "" for line in lines[:_MOST_LINES]]
    if first in "45":
        return Answer(Word.REFUSE, parse_reply(int(first + rest), texts))
    # A zero stands for the two of the reply that the client is to get.
    word, code = (Word.DONE, "2" + rest) if first == "0" else (Word.NEXT, first + rest)
    return Answer(word, parse_reply(int(code), texts))
