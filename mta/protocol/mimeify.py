"""Step 4 on the content: a message that says little about its text says all of it afterwards.

Plain ASCII mail becomes a MIME message (RFC 2045 4 to 6); parts of a MIME message get the labels
that they lack, and none that would be a lie. No text is encoded anew. Signed parts, enclosed
messages and whatever is not well-formed stay as they are.
"""

import binascii
import quopri
import re

from mta.protocol import dkim_cover, header_fields, mime_tree
from mta.protocol.dkim_cover import NOTHING, Cover
from mta.protocol.mime_edit import Edits
from mta.protocol.mime_header import IDENTITY
from mta.protocol.mime_problem import Problems
from mta.protocol.mime_tree import Entity

_VERSION = b"Mime-Version: 1.0\r\n"
_PLAIN = {
    "mime-version": _VERSION,
    "content-type": b"Content-Type: text/plain; charset=us-ascii\r\n",
    "content-transfer-encoding": b"Content-Transfer-Encoding: 7bit\r\n",
}
_TYPE_AND_PARAMETERS = re.compile(
    rb"[ \t]*[^\s;\"()/]+/[^\s;\"()/]+[ \t]*"
    rb"(?:;[ \t]*[^\s=;\"()]+[ \t]*=[ \t]*(?:\"(?:[^\"\\]|\\.)*+\"|[^\s;\"()]*)[ \t]*)*+;?[ \t]*\Z"
)
# Text with escape sequences is ISO 2022 in some form, and not UTF-8 though it looks so.
_ESCAPE = b"\x1b"
_LONGEST_LINE = 76


def mimeify(content: bytes) -> bytes:
    """The content with the MIME fields it should have; the same object when it has them.

    `content` has CRLF line ends and is stored or sent after this. Raises nothing.
    """
    header, _ = header_fields.cut(content)
    names = header.lower()
    signed = b"signature" in names
    if b"mime-version" not in names and b"content-" not in names:
        cover = dkim_cover.cover(header_fields.split(header)) if signed else NOTHING
        return _as_plain(content, len(header), cover)
    problems = Problems()
    try:
        entities = mime_tree.parse(content, problems)
    except mime_tree.TooComplex:
        return content
    if problems.all():
        return content
    cover = dkim_cover.cover(entities[0].header.fields) if signed else NOTHING
    return _completed(content, entities, cover)


def _as_plain(content: bytes, end: int, cover: Cover) -> bytes:
    if not content.isascii() or not cover.names.isdisjoint(_PLAIN):
        return content
    line_end = b"" if not end or content.endswith(b"\r\n", 0, end) else b"\r\n"
    return content[:end] + line_end + b"".join(_PLAIN.values()) + content[end:]


def _completed(content: bytes, entities: list[Entity], cover: Cover) -> bytes:
    root = entities[0]
    edits = Edits(content)
    if not root.header.has_version:
        if not _may_become_mime(content, root, cover):
            return content
        edits.set_field(root, "mime-version", _VERSION)
    labels = _Labels(content, edits, cover)
    has_8bit = _with_8bit(content, entities)
    for entity in entities:
        if _is_ours(entity) and not (cover.is_signed and entity is not root):
            labels.complete(entity, has_8bit=id(entity) in has_8bit)
    return edits.apply()


def _may_become_mime(content: bytes, root: Entity, cover: Cover) -> bool:
    """Is it what it would be taken for: ASCII, with a type that can be read or none?"""
    return (
        content.isascii()
        and bool(root.header.maintype or not root.header.has_type)
        and root.has_empty_line
        and "mime-version" not in cover.names
    )


def _with_8bit(content: bytes, entities: list[Entity]) -> set[int]:
    """Which entities have 8-bit octets in their bodies, those of their parts included."""
    found: set[int] = set()
    if content.isascii():
        return found
    for entity in reversed(entities):
        if not entity.own_text(content).isascii():
            found.add(id(entity))
        in_header = not content[entity.start : entity.header_end].isascii()
        if entity.parent is not None and (in_header or id(entity) in found):
            found.add(id(entity.parent))
    return found


def _is_ours(entity: Entity) -> bool:
    """Not covered by a signature, and not in an enclosed message, which is somebody else's."""
    if entity.opaque or not entity.has_empty_line or entity.header.duplicates:
        return False
    parent = entity.parent
    while parent is not None and not parent.encloses_message:
        parent = parent.parent
    return parent is None


class _Labels:
    """Completes the header sections of one message."""

    def __init__(self, content: bytes, edits: Edits, cover: Cover) -> None:
        self._content = content
        self._edits = edits
        self._cover = cover

    def complete(self, entity: Entity, *, has_8bit: bool) -> None:
        if entity.is_leaf:
            self._complete_type(entity)
        self._complete_encoding(entity, has_8bit=has_8bit)

    def _complete_type(self, entity: Entity) -> None:
        header = entity.header
        if header.has_charset or not entity.content_type.startswith("text/"):
            return
        if not self._may_set(entity, "content-type") or not self._is_utf8(entity):
            return
        raw = b"Content-Type: text/plain; charset=utf-8\r\n"
        field = header.field("content-type")
        if field is not None:
            if not _TYPE_AND_PARAMETERS.match(field.value):
                return
            line = field.raw.rstrip(b"; \t\r\n") + b";"
            is_long = len(line) - line.rfind(b"\n") > _LONGEST_LINE - len(" charset=utf-8")
            raw = line + (b"\r\n " if is_long else b" ") + b"charset=utf-8\r\n"
        self._edits.set_field(entity, "content-type", raw)

    def _complete_encoding(self, entity: Entity, *, has_8bit: bool) -> None:
        right = "8bit" if has_8bit else "7bit"
        wrong = _wrong_labels(entity, has_8bit=has_8bit)
        name = "content-transfer-encoding"
        if entity.header.encoding in wrong and self._may_set(entity, name):
            self._edits.set_field(entity, name, f"Content-Transfer-Encoding: {right}\r\n".encode())

    def _may_set(self, entity: Entity, name: str) -> bool:
        return entity.parent is not None or name not in self._cover.names

    def _is_utf8(self, entity: Entity) -> bool:
        text = self._content[entity.body : entity.end]
        try:
            if entity.header.encoding == "base64":
                text = binascii.a2b_base64(text)
            elif entity.header.encoding == "quoted-printable":
                text = quopri.decodestring(text)
            text.decode()
        except ValueError:
            return False
        return _ESCAPE not in text and entity.header.encoding in (
            *IDENTITY,
            "base64",
            "quoted-printable",
        )


def _wrong_labels(entity: Entity, *, has_8bit: bool) -> tuple[str, ...]:
    """The labels that have to be replaced; "" is a missing one."""
    if entity.is_leaf:
        return ("",) if has_8bit else ("", "8bit")
    return ("", "7bit") if has_8bit else ()
