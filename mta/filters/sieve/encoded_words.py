"""Header values for people: unfolded, encoded words decoded (RFC 2047), in linear time."""

import base64
import binascii
import quopri
import re

_WORD = re.compile(r"=\?([^?*\s]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?\s]*)\?=")
# White space between two encoded words is not part of the text (section 6.2).
_BETWEEN = re.compile(r"(?<=\?=)\s+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
# Longer values are cut: nothing that a person wrote is nearly that long.
MAX_VALUE = 64 << 10


def unfolded(raw: bytes) -> str:
    """A field's value on one line."""
    line = raw[:MAX_VALUE].replace(b"\r", b"").replace(b"\n", b"")
    return line.decode("utf-8", "replace").strip()


def readable(raw: bytes) -> str:
    """A field's value as tests see it."""
    text = unfolded(raw)
    if "=?" not in text:
        return text
    return _WORD.sub(_decoded, _BETWEEN.sub("", text))


def _decoded(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    try:
        octets = text.encode("ascii")
        if encoding in "bB":
            decoded = base64.b64decode(octets + b"=" * (-len(octets) % 4))
        else:
            decoded = quopri.decodestring(octets, header=True)
        return decode_text(decoded, charset)
    except (UnicodeError, LookupError, binascii.Error, ValueError):
        return match[0]


def decode_text(octets: bytes, charset: str) -> str:
    """Text in a charset that the message names. Raises LookupError for one that is unknown."""
    name = charset.lower()
    if name in ("", "us-ascii", "ascii", "utf-8", "utf8"):
        return octets.decode("utf-8", "replace")
    # Codecs like "zip" or "idna" are none of text, or slow.
    if name.replace("_", "-") in ("idna", "punycode", "unicode-escape", "raw-unicode-escape"):
        raise LookupError(charset)
    return octets.decode(name, "replace").encode("utf-8", "replace").decode("utf-8")
