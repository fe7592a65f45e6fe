"""Changes to some places of a message; every octet that is not named stays as it is."""

from mta.protocol.mime_tree import Entity


class Edits:
    """Changes to `content`, made all at once by `apply`. They must not overlap."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._changes: list[tuple[int, int, bytes]] = []

    def replace(self, start: int, end: int, new: bytes) -> None:
        self._changes.append((start, end, new))

    def set_field(self, entity: Entity, name: str, raw: bytes) -> None:
        """Put `raw` ("Name: value" and line end) in the place of the first field of this name in
        lower case, or at the end of the header section when there is none."""
        position = entity.start
        for field in entity.header.fields:
            if field.name == name:
                self.replace(position, position + len(field.raw), raw)
                return
            position += len(field.raw)
        self.replace(entity.header_end, entity.header_end, raw)

    def apply(self) -> bytes:
        """The changed content; the same object when there is no change."""
        if not self._changes:
            return self._content
        pieces, position = [], 0
        for start, end, new in sorted(self._changes, key=lambda change: change[:2]):
            pieces += [self._content[position:start], new]
            position = end
        pieces.append(self._content[position:])
        return b"".join(pieces)
