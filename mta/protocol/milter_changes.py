"""A message as a milter sees it, and what its changes make of it.

A milter is not shown the Received field that this server has put on top, as it is not by others;
but where a field is inserted, that one counts. What is not changed keeps its octets.
"""

import re
from collections.abc import Iterator

from mta.protocol.header_fields import Field, cut, split
from mta.protocol.milter import AddHeader, ChangeHeader, InsertHeader, ReplaceBody

_OWN = "received"
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Octets of changes beyond twice the message: more than that is a filter that has run wild.
SPARE = 16 * 1024 * 1024
# What a change costs beside its octets.
_OVERHEAD = 100

Edit = AddHeader | InsertHeader | ChangeHeader | ReplaceBody


class EditedMessage:
    """One message, changed step by step. `leading_space` is as agreed on (SMFIP_HDR_LEADSPC):
    then the white space behind a colon is part of the value."""

    def __init__(self, content: bytes, leading_space: bool) -> None:
        header, self._rest = cut(content)
        self._original = content
        self._fields = split(header)
        self._leading_space = leading_space
        self._pieces: list[bytes] | None = None
        self._changed = False
        self._budget = 2 * len(content) + SPARE

    @property
    def body(self) -> bytes:
        """The body as it came."""
        return self._rest.removeprefix(b"\r\n")

    def shown_fields(self) -> Iterator[tuple[bytes, bytes]]:
        """(name as written, value with LF between its lines) of what the filter is to see."""
        for field in self._fields[self._hidden() :]:
            if field.name:
                name = field.raw.partition(b":")[0].rstrip(b" \t")
                value = field.body if self._leading_space else field.body.lstrip(b" \t")
                yield name, value.replace(b"\r\n", b"\n")

    def apply(self, change: Edit) -> None:
        """Raises ValueError when the changes become too large."""
        self._changed = True
        self._budget -= _size(change)
        if self._budget < 0:
            raise ValueError("its changes are far larger than the message")
        match change:
            case AddHeader(name, value):
                self._fields.append(self._field(name, value))
            case InsertHeader(index, name, value):
                self._fields.insert(index, self._field(name, value))
            case ChangeHeader(index, name, value):
                self._change(index, name, value)
            case ReplaceBody(piece):
                self._pieces = self._pieces or []
                self._pieces.append(piece)

    def content(self) -> bytes | None:
        """The message with all changes, None when there were none."""
        if not self._changed:
            return None
        header = b"".join(
            field.raw if field.raw.endswith(b"\r\n") else field.raw + b"\r\n"
            for field in self._fields
        )
        rest = self._rest if self._pieces is None else b"\r\n" + _wire(b"".join(self._pieces))
        edited = header + rest
        return None if edited == self._original else edited

    def _hidden(self) -> int:
        return 1 if self._fields and self._fields[0].name == _OWN else 0

    def _change(self, index: int, name: bytes, value: bytes) -> None:
        """One more than there are is a new field, as with the server for which all was made."""
        hidden = self._hidden()
        wanted = name.decode("ascii").lower()
        places = [
            place
            for place, field in enumerate(self._fields)
            if place >= hidden and field.name == wanted
        ]
        place = places[max(index, 1) - 1] if max(index, 1) <= len(places) else None
        if place is None:
            if value:
                self._fields.append(self._field(name, value))
        elif value:
            self._fields[place] = self._field(name, value)
        else:
            del self._fields[place]

    def _field(self, name: bytes, value: bytes) -> Field:
        """A line of the value that does not begin with white space would be a field of its own, an
        empty one the end of the header: neither is meant."""
        lines = [line for line in _LINE_END.split(value) if line.strip(b" \t")] or [b""]
        folded = [lines[0], *(line if line[:1] in b" \t" else b"\t" + line for line in lines[1:])]
        space = b"" if self._leading_space else b" "
        raw = name + b":" + space + b"\r\n".join(folded) + b"\r\n"
        return Field(name.decode("ascii").lower(), raw)


def _size(change: Edit) -> int:
    octets = change.piece if isinstance(change, ReplaceBody) else change.name + change.value
    return len(octets) + _OVERHEAD


def _wire(body: bytes) -> bytes:
    """Line ends that are CRLF, the last one too: on the wire there are no others."""
    lines = _LINE_END.sub(b"\r\n", body)
    return lines if lines.endswith(b"\r\n") or not lines else lines + b"\r\n"
