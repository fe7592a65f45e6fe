"""Variable envelope return paths, in the encoding that Courier specifies (XVERP=Courier).

A bounce to a VERPed address tells by itself which recipient it is about:

    list@example.org, for ann+x@example.net  <->  list-ann+2Bx=example.net@example.org

Addresses are in memory form (`mta.protocol.address`).
"""

import re
from collections.abc import Mapping

from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER

_SPECIAL = frozenset("@:%!+-[]")
_PLUS = re.compile(r"\+(.{0,2})", re.DOTALL)
_HEX = re.compile(r"[0-9A-Fa-f]{2}\Z")


def encode(reverse_path: str, recipient: str) -> str:
    """The return path for this one recipient.

    A null sender has none, and one without a domain cannot take the recipient in: they stay.
    """
    if not is_possible(reverse_path):
        return reverse_path
    local, _, domain = reverse_path.rpartition("@")
    user, separator, host = recipient.rpartition("@")
    # "=" is unambiguous only in front of the one that stands for the "@".
    suffix = _quoted(host).replace("=", "+3D")
    prefix = f"{_quoted(user)}=" if separator else ""
    return f"{local}-{prefix}{suffix}@{domain}"


def is_possible(reverse_path: str) -> bool:
    """Whether `encode` changes this return path."""
    return "@" in reverse_path and reverse_path != DOUBLE_BOUNCE_SENDER


def decode(address: str) -> tuple[str, str] | None:
    """(sender, recipient) of a VERPed address; None when it is not one of a mail address.

    Nothing tells the form for a recipient without "@" from an ordinary address with a hyphen.
    """
    local, at, domain = address.rpartition("@")
    # The recipient's own hyphens are encoded, so that the last one is ours.
    sender, hyphen, encoded = local.rpartition("-")
    user, equals, host = encoded.rpartition("=")
    if not (at and domain and hyphen and sender and equals and user and host):
        return None
    recipient = _unquoted(f"{user}@{host}")
    return (f"{sender}@{domain}", recipient) if recipient else None


def is_offered(offered: Mapping[str, str]) -> bool:
    """Whether a peer with these extensions encodes as we do; a bare XVERP means another syntax."""
    return "courier" in re.split(r"[\s,]+", offered.get("XVERP", "").lower())


def _quoted(text: str) -> str:
    return "".join(f"+{ord(char):02X}" if char in _SPECIAL else char for char in text)


def _unquoted(text: str) -> str:
    """The text in clear, "" when something in it cannot have been encoded here."""
    codes = _PLUS.findall(text)
    if not all(_HEX.match(code) and 0x20 < int(code, 16) < 0x7F for code in codes):
        return ""
    return _PLUS.sub(lambda match: chr(int(match[1], 16)), text)
