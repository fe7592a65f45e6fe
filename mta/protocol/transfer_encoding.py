"""Quoted-printable and base64 for text that must come back to the last octet (RFC 2045 6.7, 6.8).

The standard library's quoted-printable makes lines of 77 octets where a blank ends one, and gives
other line ends back than it took.
"""

import base64
import re

_LINE = 76
_UNSAFE = re.compile(rb"[^\t -<>-~]|[\t ]\Z")


def encode(text: bytes, *, is_text: bool) -> tuple[str, bytes]:
    """(the name of the encoding, the octets in it); `is_text`: line ends are CRLF and mean it."""
    if is_text:
        return "quoted-printable", quoted_printable(text)
    return "base64", base64.encodebytes(text).replace(b"\n", b"\r\n").removesuffix(b"\r\n")


def quoted_printable(text: bytes) -> bytes:
    """CRLF stays a line end, everything else outside of printable ASCII is encoded."""
    return b"\r\n".join(piece for line in text.split(b"\r\n") for piece in _folded(line))


def _folded(line: bytes) -> list[bytes]:
    """The line encoded, with soft line breaks that leave its "=XX" whole."""
    encoded = _UNSAFE.sub(lambda match: b"=%02X" % match[0][0], line)
    pieces = []
    start = 0
    while len(encoded) - start > _LINE:
        end = start + _LINE - 1
        escape = encoded.rfind(b"=", end - 2, end)
        end = escape if escape >= 0 else end
        pieces.append(encoded[start:end] + b"=")
        start = end
    return [*pieces, encoded[start:]]
