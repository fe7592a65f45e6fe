"""Content as it leaves after 354: CRLF line ends, dots doubled, a lone dot at the end.

Nobody may find an end of the data inside of it, however he reads bare CR and LF (RFC 5321 2.3.8,
4.5.2). NUL has no place in mail (RFC 5321 4.5.2, RFC 2045 2.7, 2.8) and some servers skip it or
stop at it; where `mta.protocol.line_limit` could not encode it, it is left out.
"""

import re
from collections.abc import Iterator

CHUNK = 256 * 1024
_LINE_END = re.compile(rb"\r\n|\r|\n")


def wire_chunks(content: bytes) -> Iterator[bytes]:
    """The content in large pieces, the final dot in the last one."""
    if b"\0" in content:
        # Before anything else: a NUL may keep a dot from the start of its line.
        content = content.replace(b"\0", b"")
    fresh_line = True
    start = 0
    waiting = b""
    while start < len(content):
        end = min(start + CHUNK, len(content))
        if content[end - 1 : end + 1] == b"\r\n":
            end += 1
        if waiting:
            yield waiting
        lines = with_crlf(content[start:end])
        waiting = lines.replace(b"\r\n.", b"\r\n..")
        if fresh_line and lines.startswith(b"."):
            waiting = b"." + waiting
        fresh_line = lines.endswith(b"\r\n")
        start = end
    yield waiting + (b".\r\n" if fresh_line else b"\r\n.\r\n")


def chunk_content(content: bytes) -> bytes:
    """The content as BDAT takes it (RFC 3030): what DATA would bring, without its dots.

    It must have CRLF line ends; the last one is added when it is not there.
    """
    if b"\0" in content:
        content = content.replace(b"\0", b"")
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def with_crlf(text: bytes) -> bytes:
    """The text with every bare CR and LF made a CRLF."""
    pairs = text.count(b"\r\n")
    if text.count(b"\n") == pairs and text.count(b"\r") == pairs:
        return text
    return _LINE_END.sub(b"\r\n", text)
