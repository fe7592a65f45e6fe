"""An SMTP reply: three digits, an enhanced status code, and text (RFC 5321 4.2, RFC 2034)."""

import re
from dataclasses import dataclass

from mta.protocol.status import NOT_PERMITTED, with_class

_UNNAMED = "the message is not accepted"
_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:[ \t]+|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `status` is "" where RFC 2034 gives none (220, 221, 354, EHLO lines).

    `text` may hold several lines separated by a newline; each becomes a line on the wire.
    """

    code: int
    status: str
    text: str

    @property
    def is_positive(self) -> bool:
        return self.code < 400

    @property
    def is_transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return self.code >= 500

    def encode(self) -> bytes:
        """The octets for the wire, CRLF included. Control characters become spaces."""
        prefix = f"{self.status} " if self.status else ""
        lines = [prefix + _printable(line) for line in self.text.split("\n")]
        wire = [f"{self.code}-{line}\r\n" for line in lines[:-1]]
        wire.append(f"{self.code} {lines[-1]}\r\n")
        return "".join(wire).encode("utf-8", "replace")

    def __str__(self) -> str:
        """One line for logs and for the console: "550 5.1.1 no such user"."""
        flat = " ".join(self.text.split())
        return " ".join(part for part in (str(self.code), self.status, flat) if part)


def parse_reply(code: int, lines: list[str]) -> Reply:
    """A peer's reply as a `Reply`: takes the enhanced status from the first line if there is one.

    A status whose class contradicts the code (RFC 2034 4) is left in the text.
    """
    match = _STATUS.match(lines[0]) if lines else None
    if match is None or match.group(1)[0] != str(code)[0]:
        return Reply(code, "", "\n".join(lines))
    status = match.group(1)
    stripped = [line.removeprefix(status).lstrip() for line in lines]
    return Reply(code, status, "\n".join(stripped))


def refusal(text: str) -> Reply:
    """A refusal in somebody's own words: 550 5.7.1, unless they begin with another code, such as
    "451 come again" or "554 5.7.1 spam"."""
    text = text.strip()
    code, _, words = text.partition(" ")
    if not (len(code) == 3 and code.isascii() and code.isdecimal() and code[0] in "45"):
        return Reply(550, NOT_PERMITTED, text or _UNNAMED)
    reply = parse_reply(int(code), words.splitlines() or [""])
    enhanced = reply.status or with_class(NOT_PERMITTED, code[0])
    return Reply(reply.code, enhanced, reply.text or _UNNAMED)


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else " " for char in line)
