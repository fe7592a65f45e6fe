"""xtext, the encoding of ENVID and ORCPT in MAIL and RCPT (RFC 3461 4).

Printable ASCII stands for itself, except "+" and "="; every other octet is "+" and two hex
digits. In a session with SMTPUTF8 characters beyond ASCII may stand as they are (RFC 6533 3).
"""

import re

_PLAIN = frozenset(range(0x21, 0x7F)) - {ord("+"), ord("=")}
_HEX = re.compile(rb"\+([0-9A-Fa-f]{2})")
_BAD_PLUS = re.compile(r"\+(?![0-9A-Fa-f]{2})")
_NOT_XTEXT = re.compile(r"[\x00-\x20=\x7f]")


class XtextError(ValueError):
    """The text is not xtext, or hides what has no place in a header; the message says why."""


def encode(text: str) -> str:
    octets = text.encode("utf-8")
    return "".join(chr(octet) if octet in _PLAIN else f"+{octet:02X}" for octet in octets)


def decode(text: str) -> str:
    """The text in clear. Raises XtextError, also when it is not printable UTF-8 in clear."""
    if _NOT_XTEXT.search(text):
        raise XtextError("blanks, control characters and '=' must be encoded")
    if _BAD_PLUS.search(text):
        raise XtextError("'+' must be followed by two hexadecimal digits")
    try:
        octets = text.encode("utf-8")
        clear = _HEX.sub(lambda match: bytes.fromhex(match[1].decode()), octets).decode("utf-8")
    except UnicodeError as error:
        raise XtextError("the text in clear is not UTF-8") from error
    if not clear.isprintable():
        raise XtextError("the text in clear holds control characters")
    return clear
