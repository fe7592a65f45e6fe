"""The entities of a MIME message, found in one pass over its octets (RFC 2046 5.1 and 5.2).

Each line that begins with "--" is looked up among the boundaries that are open at that place, so
the work grows with the size of the message only, however its parts are nested. Whatever makes the
structure doubtful, so that two readers could see different parts, is a problem.
"""

import re
from dataclasses import dataclass, field

from mta.protocol import mime_header
from mta.protocol.mime_header import IDENTITY, MimeHeader
from mta.protocol.mime_problem import Problems

_LONGEST_LINE = 998
# All header sections together; reading fields costs more than reading text.
_MAX_HEADER_OCTETS = 4_000_000
_MAX_HEADER_LINES = 50_000
_MANY_MISSES = 1000
_ENCLOSED_MESSAGES = ("message/rfc822", "message/global")


class TooComplex(ValueError):
    """Too many parts, or nested too deeply, to be read; the message says which."""


@dataclass(slots=True)
class Entity:
    """A message or part; positions are octets of the whole content.

    The header section is `start` to `header_end`, the body `body` to `end`. What stands around
    the parts of a multipart is `body` to `preamble_end` and `epilogue` to `end`. `opaque`: some
    signature or encryption covers it, so its octets must stay.
    """

    number: str
    depth: int
    parent: "Entity | None"
    start: int
    header_end: int
    body: int
    end: int
    header: MimeHeader
    opaque: bool
    is_multipart: bool = False
    closed: bool = False
    preamble_end: int = 0
    epilogue: int = 0
    children: list["Entity"] = field(default_factory=list)

    @property
    def content_type(self) -> str:
        """The type it has, by what its header says or does not say (RFC 2045 5.2, 2046 5.1.5)."""
        if not self.header.has_type and self.parent is not None and self.parent.is_digest:
            return "message/rfc822"
        return self.header.content_type or "text/plain"

    @property
    def is_digest(self) -> bool:
        return self.is_multipart and self.header.subtype == "digest"

    @property
    def is_leaf(self) -> bool:
        return not self.is_multipart and not self.children

    @property
    def encloses_message(self) -> bool:
        return not self.is_multipart and bool(self.children)

    @property
    def has_empty_line(self) -> bool:
        """Does an empty line end the header section, so that a field can be added to it?"""
        return self.body > self.header_end

    def own_text(self, content: bytes) -> bytes:
        """The body of a leaf, or what stands before and behind the parts of a multipart."""
        if self.is_multipart:
            return content[self.body : self.preamble_end] + content[self.epilogue : self.end]
        return b"" if self.children else content[self.body : self.end]


def parse(
    content: bytes, problems: Problems, *, max_depth: int = 50, max_parts: int = 1000
) -> list[Entity]:
    """All entities in the order they begin, the message itself first. Raises TooComplex."""
    return _Walk(content, problems, max_depth, max_parts).run()


class _Walk:
    def __init__(self, content: bytes, problems: Problems, max_depth: int, max_parts: int) -> None:
        self._content = content
        self._problems = problems
        self._max_depth = max_depth
        self._max_parts = max_parts
        self._entities: list[Entity] = []
        # From the message down to the entity that is open now.
        self._path: list[Entity] = []
        self._parts = 0
        # What may follow "--" at the beginning of a line -> (whose it is, does it close).
        self._delimiters: dict[bytes, tuple[Entity, bool]] = {}
        self._beginnings: tuple[bytes, ...] = ()
        self._blank_line = -1
        self._header_octets = 0
        self._header_lines = 0
        self._misses = 0
        self._pattern: re.Pattern[bytes] | None = None

    def run(self) -> list[Entity]:
        position = self._begin(0, None, "")
        size = len(self._content)
        while self._delimiters and (at := self._candidate(position, size)) >= 0:
            line_end = self._line_end(at + 2)
            position = line_end
            line = self._delimiter_line(at + 4, line_end)
            found = self._delimiters.get(line)
            if found is not None:
                position = self._at_delimiter(at, line_end, *found)
            elif line.startswith(self._beginnings):
                self._count_part()
                self._problems.add(
                    self._path[-1].number, "a line begins like a boundary delimiter but is none"
                )
            else:
                self._misses += 1
        self._close_down_to(0, size)
        return self._entities

    def _candidate(self, position: int, limit: int) -> int:
        """Where the line end before the next line begins that could be a delimiter, or -1.

        Text with many lines that begin with "--" is rare, but has to be read fast, too.
        """
        if self._misses < _MANY_MISSES:
            return self._content.find(b"\r\n--", position, limit)
        if self._pattern is None:
            beginnings = b"|".join(re.escape(beginning) for beginning in self._beginnings)
            self._pattern = re.compile(b"\r\n--(?:" + beginnings + b")")
        match = self._pattern.search(self._content, position, limit)
        return match.start() if match else -1

    def _count_part(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise TooComplex(f"more than {self._max_parts} parts")

    def _at_delimiter(self, at: int, line_end: int, owner: Entity, closing: bool) -> int:
        if at < self._path[-1].start:
            # The line end between them is needed twice, so that some readers see one of them only.
            self._problems.add(owner.number, "a boundary delimiter directly follows another")
        self._close_down_to(owner.depth + 1, at)
        if owner.closed:
            self._count_part()
            self._problems.add(owner.number, "a boundary delimiter follows the closing one")
            return line_end
        if not owner.children:
            owner.preamble_end = max(at, owner.body)
        if closing:
            owner.closed, owner.epilogue = True, line_end
            return line_end
        self._count_part()
        prefix = f"{owner.number}." if owner.number else ""
        return self._begin(line_end + 2, owner, f"{prefix}{len(owner.children) + 1}")

    def _begin(self, start: int, parent: Entity | None, number: str) -> int:
        """Open the entity whose header begins here, and the messages it encloses directly."""
        while True:
            entity = self._entity(start, parent, number)
            if entity.depth > self._max_depth:
                raise TooComplex(f"parts are nested more than {self._max_depth} deep")
            self._entities.append(entity)
            self._path.append(entity)
            if parent is not None:
                parent.children.append(entity)
            if entity.header.maintype == "multipart":
                self._open_multipart(entity)
            if entity.is_multipart or not _encloses_message(entity):
                # An empty line at the end of the header may begin the first delimiter.
                return max(entity.body - 2, start - 2, 0)
            start, parent, number = entity.body, entity, f"{number}.1" if number else "1"

    def _entity(self, start: int, parent: Entity | None, number: str) -> Entity:
        size = len(self._content)
        start = min(start, size)
        header_end, body = self._header_end(start)
        self._count_header(start, header_end)
        return Entity(
            number=number,
            depth=parent.depth + 1 if parent else 0,
            parent=parent,
            start=start,
            header_end=header_end,
            body=body,
            end=size,
            header=mime_header.parse(self._content[start:header_end]),
            opaque=parent is not None and (parent.opaque or _covers_its_parts(parent)),
            epilogue=size,
            preamble_end=body,
        )

    def _count_header(self, start: int, end: int) -> None:
        self._header_octets += end - start
        self._header_lines += self._content.count(b"\n", start, end)
        if self._header_octets > _MAX_HEADER_OCTETS or self._header_lines > _MAX_HEADER_LINES:
            raise TooComplex("too much text in the headers of parts")

    def _header_end(self, start: int) -> tuple[int, int]:
        """(end of the header section, beginning of the body): a delimiter ends both, too."""
        content = self._content
        if content.startswith(b"\r\n", start):
            return start, start + 2
        if self._blank_line < start:
            found = content.find(b"\r\n\r\n", start)
            self._blank_line = found if found >= 0 else len(content)
        limit = self._blank_line
        position = max(start - 2, 0)
        while self._delimiters and (at := self._candidate(position, limit)) >= 0:
            position = self._line_end(at + 2)
            if self._delimiter_line(at + 4, position) in self._delimiters:
                end = max(min(at + 2, len(content)), start)
                return end, end
            self._misses += 1
        end = min(limit + 2, len(content))
        return end, min(limit + 4, len(content))

    def _open_multipart(self, entity: Entity) -> None:
        header = entity.header
        if header.encoding not in IDENTITY:
            return
        if header.boundaries > 1:
            self._problems.add(entity.number, "the multipart names its boundary more than once")
        elif not header.boundaries:
            self._problems.add(entity.number, "the multipart names no boundary")
        elif not header.boundary:
            self._problems.add(entity.number, "the boundary of the multipart is not valid")
        else:
            self._expect(entity, header.boundary.encode("ascii"))

    def _expect(self, entity: Entity, boundary: bytes) -> None:
        if any(_overlap(boundary, other) for other in self._beginnings):
            self._problems.add(
                entity.number, "the boundary of the multipart overlaps that of one around it"
            )
            return
        entity.is_multipart = True
        self._delimiters[boundary] = (entity, False)
        self._delimiters[boundary + b"--"] = (entity, True)
        self._beginnings += (boundary,)
        self._misses, self._pattern = 0, None

    def _close_down_to(self, depth: int, at: int) -> None:
        while len(self._path) > depth:
            entity = self._path.pop()
            entity.end = max(min(at, entity.end), entity.body)
            entity.header_end = min(entity.header_end, entity.body)
            if entity.is_multipart:
                self._close_multipart(entity)

    def _close_multipart(self, entity: Entity) -> None:
        boundary = self._beginnings[-1]
        self._beginnings = self._beginnings[:-1]
        self._misses, self._pattern = 0, None
        del self._delimiters[boundary], self._delimiters[boundary + b"--"]
        if not entity.children:
            self._problems.add(entity.number, "the multipart has no part")
            entity.preamble_end = entity.end
        elif not entity.closed:
            self._problems.add(entity.number, "the multipart has no closing boundary delimiter")
        entity.epilogue = min(entity.epilogue, entity.end)

    def _line_end(self, position: int) -> int:
        end = self._content.find(b"\r\n", position)
        return len(self._content) if end < 0 else end

    def _delimiter_line(self, start: int, end: int) -> bytes:
        """The line as it is compared; white space behind a delimiter means nothing."""
        line = self._content[start : min(end, start + _LONGEST_LINE)]
        return line.rstrip(b" \t") if end - start < _LONGEST_LINE else line


def _encloses_message(entity: Entity) -> bool:
    return entity.content_type in _ENCLOSED_MESSAGES and entity.header.encoding in IDENTITY


def _covers_its_parts(entity: Entity) -> bool:
    return entity.header.content_type in ("multipart/signed", "multipart/encrypted")


def _overlap(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)
