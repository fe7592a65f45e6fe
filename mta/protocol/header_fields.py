"""A header section cut into its fields, as octets (RFC 5322 2.2, 4.5.8).

A field keeps its octets, folding and all, so that what is not changed can be put back as it was.
Lines that are no fields are kept as fields without a name: nothing is dropped here.
"""

import re
from typing import NamedTuple

from mta.protocol.headers import header_end

_FIELD = re.compile(rb"[^\n]*(?:\n(?:[ \t][^\n]*(?:\n|\Z))*+|\Z)")
_NAME = re.compile(rb"[!-9;-~]+(?=[ \t]*:)")
_WELL_FORMED = re.compile(rb"(?>[!-9;-~]+[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z))*+")


class Field(NamedTuple):
    """One field: `name` in lower case ("" when the line is no field), `raw` with its line end."""

    name: str
    raw: bytes

    @property
    def body(self) -> bytes:
        """What follows the colon, folded as it was written, without the last line end."""
        return self.raw.partition(b":")[2].removesuffix(b"\r\n")

    @property
    def value(self) -> bytes:
        """The body on one line, without white space around it."""
        return self.body.replace(b"\r\n", b"").strip(b" \t")


def split(header: bytes) -> list[Field]:
    """The fields of a header section, in order. Joined, their `raw` gives it back."""
    return [Field(_name(raw), raw) for raw in _FIELD.findall(header) if raw]


def well_formed_size(header: bytes) -> int:
    """How many octets of the header section are fields: all of them, if nothing is wrong."""
    match = _WELL_FORMED.match(header)
    return match.end() if match else 0


def cut(content: bytes) -> tuple[bytes, bytes]:
    """(header section, the empty line and the body) of a message."""
    end = header_end(content)
    return content[:end], content[end:]


def _name(raw: bytes) -> str:
    match = _NAME.match(raw)
    return match[0].decode("ascii").lower() if match else ""
