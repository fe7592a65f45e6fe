"""The call of uux(1) that leaves a message with UUCP, and the text that `rmail` reads. Pure.

uux writes its arguments into a job that another host carries out, perhaps with a shell: only what
no shell and no program could take for anything but an address goes there.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mta.protocol import uucp_headers
from mta.protocol.bang_path import Neighbourhood

# Courier's: print the job's name, and let it go before news.
DEFAULT_FLAGS = "-j -g C"
MAX_RECIPIENTS = 16
NOBODY = "MAILER-DAEMON"
_HARMLESS = re.compile(
    r"[A-Za-z0-9_=+][A-Za-z0-9._=+%@-]*(?:![A-Za-z0-9_=+][A-Za-z0-9._=+%@-]*)*\Z"
)
_FLAG = re.compile(r"[A-Za-z0-9_.,=/:+-]+\Z")
_MAX_WORD = 500


class UnsafeWord(ValueError):
    """An address that cannot be an argument there; the message says so."""


@dataclass(frozen=True, slots=True)
class UuxTerms:
    """How we use UUCP. `flags` are options of uux; with `rewrites_headers` the addresses in headers
    become paths, too."""

    town: Neighbourhood = Neighbourhood()
    flags: tuple[str, ...] = field(default=tuple(DEFAULT_FLAGS.split()))
    rewrites_headers: bool = False


def parse_flags(text: str) -> tuple[str, ...]:
    """Options of uux as an administrator writes them. Raises ValueError with a sentence."""
    words = text.split()
    for number, word in enumerate(words):
        follows = number > 0 and words[number - 1].startswith("-")
        if not _FLAG.match(word) or word == "-" or not (word.startswith("-") or follows):
            raise ValueError(f"{word!r} cannot be an option of uux")
    return tuple(words)


def arguments(
    terms: UuxTerms, system: str, reverse_path: str, recipients: Sequence[str]
) -> list[str]:
    """The arguments of uux for a message to addresses at one system, as words, never as a text.

    Parentheses keep uux from taking a path for the name of a file. Raises UnsafeWord.
    """
    sender = terms.town.outside(reverse_path) or NOBODY
    words = [f"({harmless(terms.town.at(system, each))})" for each in recipients]
    return [*terms.flags, "-", f"{system}!rmail", "-f", f"({harmless(sender)})", *words]


def harmless(word: str) -> str:
    """The same word. Raises UnsafeWord."""
    if not _HARMLESS.match(word) or len(word) > _MAX_WORD:
        raise UnsafeWord("the address has characters that UUCP cannot be trusted with")
    return word


def message(
    terms: UuxTerms, system: str, reverse_path: str, created_at: float, content: bytes
) -> bytes:
    """What `rmail` reads at `system`: the From line of RFC 976, and the message with LF line ends.

    `content` has CRLF line ends; `created_at` is in seconds since the epoch.
    """
    sender = terms.town.outside(reverse_path).removeprefix(f"{terms.town.me}!") or NOBODY
    when = time.asctime(time.gmtime(created_at))
    first = f"From {harmless(sender)} {when} remote from {terms.town.me}\n".encode()
    if terms.rewrites_headers:
        content = uucp_headers.outward(content, terms.town, system)
    return first + content.replace(b"\r\n", b"\n")
