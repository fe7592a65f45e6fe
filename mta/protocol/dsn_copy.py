"""The third part of a delivery report: the message reported on, or its header (RFC 6522 3).

That message may be anything, so its copy is brought into a form that may be sent on: CRLF line
ends, no NUL, lines of at most 998 octets (RFC 5321 2.3.8, 4.5.3.1.6).
"""

import re

MAX_HEADER = 128 << 10
MAX_LINE = 998

_HEADER = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)*")
_SHORT_LINES = re.compile(rb"(?:[^\n]{0,999}+\n)*+")  # up to 998 octets and CR


def make(content: bytes, *, whole: bool, smtputf8: bool) -> tuple[str, bytes]:
    """(the content type with its parameters, the octets) of the copy.

    `smtputf8` allows the international types, which are used when the header needs them.
    """
    if whole:
        header, body = _cut(_normal_lines(content))
        copy = _short_lines(header, b" ") + b"\r\n" + _short_lines(body)
    else:
        header = header_of(content)
        copy = _short_lines(header, b" ")
    is_global = smtputf8 and not header.isascii()
    return _content_type(copy, whole=whole, is_global=is_global), copy


def header_of(content: bytes) -> bytes:
    """The header fields with CRLF line ends, at most MAX_HEADER octets of them."""
    return _cut(_normal_lines(content[:MAX_HEADER]))[0]


def _content_type(copy: bytes, *, whole: bool, is_global: bool) -> str:
    if is_global:
        return "message/global" if whole else "message/global-headers"
    if whole:
        return "message/rfc822"
    if copy.isascii():
        return "text/rfc822-headers"
    return f"text/rfc822-headers; charset={'utf-8' if _is_utf8(copy) else 'unknown-8bit'}"


def _is_utf8(copy: bytes) -> bool:
    try:
        copy.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _normal_lines(content: bytes) -> bytes:
    """The content with CRLF for every kind of line end, and "?" for NUL."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\x00", b"?")
    return lines.replace(b"\n", b"\r\n")


def _cut(content: bytes) -> tuple[bytes, bytes]:
    """The header fields, and the rest without the empty line before it.

    The header ends at the first line that cannot be part of one, whatever stands there.
    """
    match = _HEADER.match(content, 0, MAX_HEADER)
    end = match.end() if match else 0
    return content[:end], content[end:].removeprefix(b"\r\n")


def _short_lines(content: bytes, indent: bytes = b"") -> bytes:
    """The content with lines of at most MAX_LINE octets; `indent` starts what was cut off."""
    pieces: list[bytes] = []
    start = 0
    while start < len(content):
        match = _SHORT_LINES.match(content, start)
        long = match.end() if match else start
        end = content.find(b"\r\n", long)
        end = len(content) if end < 0 else end
        pieces += [content[start:long], _cut_line(content[long:end], indent)]
        start = end
    return b"".join(pieces)


def _cut_line(line: bytes, indent: bytes) -> bytes:
    width = MAX_LINE - len(indent)
    return (b"\r\n" + indent).join(
        line[start : start + width] for start in range(0, len(line), width)
    )
