"""A message with 8-bit text, rewritten for a peer without 8BITMIME (RFC 6152 3, RFC 2045 6).

Works on the octets and touches only what has to change: parts that are 7-bit already stay as
they are to the last octet. What cannot be rewritten faithfully is refused. Lines that are longer
than SMTP allows (RFC 5321 4.5.3.1.6) are broken in the same way, where that harms nothing.
"""

import base64
import binascii
import quopri
import re

from mta.protocol import dkim_cover, mime_tree
from mta.protocol.mime_edit import Edits
from mta.protocol.mime_header import IDENTITY
from mta.protocol.mime_problem import Problems
from mta.protocol.mime_tree import Entity

_MAX_DEPTH = 20
# 998 octets and the line end.
_LONG_LINE = re.compile(rb"(?:\A|\n)[^\n]{1000}")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LABEL = "content-transfer-encoding"


class CannotConvert(ValueError):
    """The message is 8-bit and must stay so; the text says why."""


def to_seven_bit(message: bytes) -> bytes:
    """The same message in ASCII only, in lines that are short enough where that can be done.

    A message that is so already is returned as it is, the same object. `message` has CRLF line
    ends. Raises CannotConvert for 8-bit text, never for long lines.
    """
    if message.isascii():
        return _with_short_lines(message) if _LONG_LINE.search(message) else message
    entities = _entities(message)
    if not entities[0].header.has_version:
        raise CannotConvert("it has 8-bit text but is no MIME message")
    return _converted(message, entities)


def _with_short_lines(message: bytes) -> bytes:
    """Lines are broken only where no signature breaks and the message says that it is MIME."""
    try:
        entities = _entities(message)
        header = entities[0].header
        if not header.has_version or dkim_cover.cover(header.fields).is_signed:
            return message
        return _converted(message, entities)
    except CannotConvert:
        return message


def _entities(message: bytes) -> list[Entity]:
    try:
        return mime_tree.parse(message, Problems(), max_depth=_MAX_DEPTH)
    except mime_tree.TooComplex as error:
        raise CannotConvert(f"it is too complex: {error}") from error


def _converted(message: bytes, entities: list[Entity]) -> bytes:
    edits = Edits(message)
    for entity in entities:
        if not message[entity.start : entity.header_end].isascii():
            raise CannotConvert("it has 8-bit text in a header")
        if entity.is_leaf:
            _convert_leaf(message, entity, edits)
        else:
            _convert_container(message, entity, edits)
    return edits.apply()


def _convert_leaf(message: bytes, entity: Entity, edits: Edits) -> None:
    text = message[entity.body : entity.end]
    if text.isascii() and not _is_to_be_broken(text, entity):
        return
    header = entity.header
    if entity.opaque:
        raise CannotConvert("it is signed, and a conversion would break the signature")
    if header.encoding not in IDENTITY:
        raise CannotConvert(f"it has 8-bit text in a part labelled {header.encoding}")
    if header.maintype in ("multipart", "message"):
        raise CannotConvert(f"it has 8-bit text in a part of type {header.content_type}")
    is_text = header.maintype in ("", "text") and header.encoding != "binary"
    encoding, encoded = _encoded(text, is_text=is_text)
    if _is_enclosed_message(entity) and not header.has_version:
        edits.set_field(entity, "mime-version", b"MIME-Version: 1.0\r\n")
    edits.set_field(entity, _LABEL, f"Content-Transfer-Encoding: {encoding}\r\n".encode())
    edits.set_field(
        entity,
        "x-mime-autoconverted",
        _note(header.encoding or ("7bit" if text.isascii() else "8bit"), encoding),
    )
    edits.replace(entity.body, entity.end, encoded)


def _is_to_be_broken(text: bytes, entity: Entity) -> bool:
    header = entity.header
    return (
        not entity.opaque
        and header.encoding in IDENTITY
        and header.maintype not in ("multipart", "message")
        and _LONG_LINE.search(text) is not None
    )


def _is_enclosed_message(entity: Entity) -> bool:
    return entity.parent is not None and entity.parent.encloses_message


def _note(old: str, new: str) -> bytes:
    return f"X-Mime-Autoconverted: from {old} to {new} by CourierWeb\r\n".encode()


def _convert_container(message: bytes, entity: Entity, edits: Edits) -> None:
    """What was 8bit inside is 7bit now; no reader shows what stands around the parts."""
    if entity.header.encoding not in ("", "7bit"):
        edits.set_field(entity, _LABEL, b"Content-Transfer-Encoding: 7bit\r\n")
    for start, end in ((entity.body, entity.preamble_end), (entity.epilogue, entity.end)):
        around = message[start:end]
        if entity.is_multipart and not around.isascii():
            if entity.opaque:
                raise CannotConvert("it is signed, and a conversion would break the signature")
            edits.replace(
                start, end, around.decode("ascii", "replace").replace("\ufffd", "?").encode()
            )


def _encoded(text: bytes, *, is_text: bool) -> tuple[str, bytes]:
    """(the name of the encoding, the text in it)."""
    if is_text:
        # Soft line breaks of text that has no line end come with a bare LF.
        quoted = _BARE_LF.sub(b"\r\n", binascii.b2a_qp(text, istext=True))
        if quopri.decodestring(quoted) == text:
            return "quoted-printable", quoted
    encoded = base64.encodebytes(text).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    return "base64", encoded
