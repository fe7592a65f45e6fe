"""Reading the header section of a stored message, as octets (RFC 5322 2.2).

Mail is hostile: nothing here raises on bad content, and nothing is parsed deeper than needed.
Line ends are CRLF.
"""

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header

_MESSAGE_ID = re.compile(rb"message-id:[ \t]*(?:\r\n[ \t]+)?(<[^>\r\n]{1,500}>)", re.I)
# Bounded, because a regular expression keeps a note of each repetition.
_SUBJECT = re.compile(rb"subject:[ \t]*((?:[^\r\n]|\r\n[ \t]){0,2000})", re.I)
_RETURN_PATH = re.compile(rb"^return-path:", re.I | re.M)
_MAX_SUBJECT = 500


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What the queue and the policy want to know of a header section. Sizes in octets.

    `lines` are lines as written, `fields` are those that do not continue one; `longest_line` is
    without its line end.
    """

    size: int
    hops: int
    message_id: str
    subject: str
    eight_bit: bool
    lines: int
    fields: int
    longest_line: int
    has_nul: bool


def header_end(content: bytes) -> int:
    """Where the header section ends: just before the empty line, or the end of the content."""
    if content.startswith(b"\r\n"):
        return 0
    end = content.find(b"\r\n\r\n")
    return len(content) if end < 0 else end + 2


def scan(content: bytes) -> HeaderFacts:
    """The facts of the header section."""
    header = content[: header_end(content)]
    # Every message pays for this; finding octets costs a fraction of what a pattern does.
    names = b"\r\n" + header.lower()
    message_id = _MESSAGE_ID.match(header, _position(names, b"message-id:"))
    subject = _SUBJECT.match(header, _position(names, b"subject:"))
    lines = header.count(b"\r\n") + (not header.endswith(b"\r\n") and header != b"")
    return HeaderFacts(
        size=len(header),
        hops=names.count(b"\r\nreceived:"),
        message_id=_printable(message_id.group(1).decode("ascii", "replace")) if message_id else "",
        subject=_readable(subject.group(1)) if subject else "",
        eight_bit=not header.isascii(),
        lines=lines,
        fields=lines - header.count(b"\r\n ") - header.count(b"\r\n\t"),
        longest_line=_longest_line(header),
        has_nul=b"\0" in header,
    )


def _position(names: bytes, name: bytes) -> int:
    """Where the first field of this name begins in the header, or its end if there is none."""
    found = names.find(b"\r\n" + name)
    return len(names) if found < 0 else found


def _longest_line(header: bytes) -> int:
    """Without a list of all lines, of which a hostile header may have a million."""
    longest, start = 0, 0
    while (end := header.find(b"\r\n", start)) >= 0:
        longest = max(longest, end - start)
        start = end + 2
    return max(longest, len(header) - start)


def rename_return_path(content: bytes) -> bytes:
    """Return-Path belongs to final delivery (RFC 5321 4.4): one that came in becomes Old-."""
    end = header_end(content)
    header = content[:end]
    if b"return-path:" not in header.lower():
        return content
    renamed = _RETURN_PATH.sub(b"Old-Return-Path:", header)
    return content if renamed == header else renamed + content[end:]


def _readable(value: bytes) -> str:
    """A header value for people: unfolded, encoded words decoded where they can be."""
    text = re.sub(r"\s+", " ", value.decode("utf-8", "replace")).strip()
    if "=?" in text:
        try:
            text = str(make_header(decode_header(text)))
        except (LookupError, ValueError, HeaderParseError):
            pass
    return _printable(text[:_MAX_SUBJECT])


def _printable(text: str) -> str:
    """Without NUL and other control characters, which a database or a page would choke on."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)
