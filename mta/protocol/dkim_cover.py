"""Which octets of a message a signature covers (RFC 6376 3.5, RFC 8617 4.1.2).

What is covered must stay as it is, or the signature breaks. Nothing is verified here: a wrong
signature is treated with the same care as a right one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mta.protocol.header_fields import Field

_SIGNATURES = frozenset({"dkim-signature", "arc-message-signature", "domainkey-signature"})
_ARC = frozenset({"arc-seal", "arc-message-signature", "arc-authentication-results"})
_SIGNED_FIELDS = re.compile(rb"(?:\A|;)h=([^;]*)")
_WHITE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Cover:
    """What is signed: `names` of header fields in lower case, and whether there is a signature,
    which then covers the body.

    A name stands for all fields of that name, also for one that is not there yet: a signature
    may name a field that is missing, so that it cannot be added.
    """

    names: frozenset[str] = frozenset()
    is_signed: bool = False


NOTHING = Cover()


def cover(fields: Iterable[Field]) -> Cover:
    """What the signatures among these fields cover."""
    signatures = [field for field in fields if field.name in _SIGNATURES]
    if not signatures:
        return NOTHING
    names = {name for signature in signatures for name in _signed_names(signature)}
    return Cover(frozenset(names | _SIGNATURES | _ARC), True)


def _signed_names(signature: Field) -> list[str]:
    match = _SIGNED_FIELDS.search(signature.body.translate(None, _WHITE))
    return match[1].decode("latin-1").lower().split(":") if match else []
