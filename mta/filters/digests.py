"""The two digests by which copies of a message are known (spec 6.2, dupfilter).

Only the letters of the subject and of each line count, in one case: addresses with numbers, dates
and punctuation may differ. `top` leaves the last three lines out and `bottom` the first three, so
that a salutation or an unsubscribe link of one's own hides nothing.

The text is that of the MIME text parts, decoded. Any other part is one line: its octets must be the
same. Courier takes the lines as they are encoded.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mta.filters.parts import Part, TooComplex, decoded_words, parts_of
from mta.protocol.header_fields import cut, split

LEFT_OUT = 3
FEW_LINES = 5

_LETTERS = re.compile(r"[^\W\d_]+")
_HEX_TO_LETTERS = str.maketrans("0123456789", "ghijklmnop")


@dataclass(frozen=True, slots=True)
class Digests:
    """16 octets each."""

    top: bytes
    bottom: bytes


def digests(content: bytes) -> Digests | None:
    """The digests of a message; None when it has no letters, and so looks like any other such."""
    lines = list(_lines(content))
    if not lines:
        return None
    if len(lines) < FEW_LINES:
        whole = _digest(lines)
        return Digests(whole, whole)
    return Digests(_digest(lines[:-LEFT_OUT]), _digest(lines[LEFT_OUT:]))


def _lines(content: bytes) -> Iterator[str]:
    """The subject and every line, in letters; those without letters are left out."""
    header, body = cut(content)
    subject = next((field for field in split(header) if field.name == "subject"), None)
    if subject is not None:
        yield from _letters(decoded_words(subject.value.decode("utf-8", "replace")))
    try:
        parts = parts_of(content)
    except TooComplex:
        parts = [Part("text/plain", "", "utf-8", False, "", body)]
    for part in parts:
        if part.content_type.startswith("text/"):
            for line in part.text.splitlines():
                yield from _letters(line)
        else:
            yield hashlib.sha256(part.body).hexdigest().translate(_HEX_TO_LETTERS)


def _letters(line: str) -> Iterator[str]:
    letters = "".join(_LETTERS.findall(line)).casefold()
    if letters:
        yield letters


def _digest(lines: list[str]) -> bytes:
    text = "\n".join(lines).encode("utf-8", "replace")
    return hashlib.sha256(text).digest()[:16]
