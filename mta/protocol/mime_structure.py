"""Step 2 on the content: is the message well-formed MIME (RFC 2045 to 2047, RFC 6532)?

Every message pays for this, so the usual one, ASCII without MIME fields, is done after a few
searches in its header section.
"""

import re

from mta.protocol import mime_tree, status
from mta.protocol.header_fields import well_formed_size
from mta.protocol.headers import header_end
from mta.protocol.mime_header import ENCODINGS, IDENTITY
from mta.protocol.mime_problem import UNKNOWN_ENCODING, Problem, Problems, quoted
from mta.protocol.mime_tree import Entity

__all__ = ["Problem", "examine"]

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_AT_LINE_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r\n|\Z)")
_MAY_HAVE_PARTS = re.compile(rb"multipart|message", re.I)
# These may be encoded like leaves (RFC 6532 3.7, RFC 6533 6), all other message types may not.
_MAY_BE_ENCODED = "message/global"


def examine(
    content: bytes, *, smtputf8: bool, max_depth: int = 50, max_parts: int = 1000
) -> tuple[Problem, ...]:
    """What is wrong with the content, () when nothing is. Raises nothing.

    `content` has CRLF line ends and went through `rewrite`, which mends what can be mended.
    `smtputf8` tells whether its transaction allows UTF-8 in header fields. The time is linear in
    the size; at most some twenty problems are told.
    """
    if content.isascii() and _is_plain(content[: header_end(content)]):
        return ()
    problems = Problems()
    try:
        entities = mime_tree.parse(content, problems, max_depth=max_depth, max_parts=max_parts)
    except mime_tree.TooComplex as error:
        problems.add("", str(error))
        return problems.all()
    is_ascii = content.isascii()
    for entity in entities:
        if problems.full:
            break
        _examine_header(content, entity, problems, smtputf8=smtputf8)
        _examine_fields(entity, problems)
        _examine_body(content, entity, problems, is_ascii=is_ascii)
    return problems.all()


def _is_plain(header: bytes) -> bool:
    """Only well-formed fields, none of them MIME?"""
    names = header.lower()
    return (
        b"content-" not in names
        and b"mime-version" not in names
        and b"\0" not in header
        and well_formed_size(header) == len(header)
    )


def _examine_header(content: bytes, entity: Entity, problems: Problems, *, smtputf8: bool) -> None:
    header = content[entity.start : entity.header_end]
    if b"\0" in header:
        problems.add(entity.number, "a NUL character in the header")
    if well_formed_size(header) != len(header):
        problems.add(entity.number, "a line of the header is no header field")
    if header.isascii():
        return
    name = next(field.name for field in entity.header.fields if not field.raw.isascii())
    where = f"the header field {name.title()}" if name else "the header"
    if not smtputf8 and not _is_international(entity):
        problems.add(
            entity.number, f"8-bit characters in {where} without SMTPUTF8", status.NEEDS_SMTPUTF8
        )
    elif not _is_utf8(header):
        problems.add(entity.number, f"8-bit characters in {where} that are not UTF-8")


def _is_international(entity: Entity) -> bool:
    """Inside of a message/global, whose header fields may be UTF-8 anywhere (RFC 6532 3.7)?"""
    while entity.parent is not None:
        entity = entity.parent
        if entity.header.content_type == "message/global":
            return True
    return False


def _examine_fields(entity: Entity, problems: Problems) -> None:
    header = entity.header
    for name in header.duplicates:
        problems.add(entity.number, f"the header field {name.title()} is there more than once")
    # Any other type that cannot be read is text/plain for everybody (RFC 2045 5.2).
    content_type = header.field("content-type")
    if (
        content_type is not None
        and not header.maintype
        and _MAY_HAVE_PARTS.match(content_type.value)
    ):
        problems.add(entity.number, "the Content-Type cannot be read")
    if header.encoding not in ENCODINGS:
        shown = quoted(header.encoding.encode())
        problems.add(entity.number, f"unknown Content-Transfer-Encoding: {shown}", UNKNOWN_ENCODING)
    elif header.encoding not in IDENTITY and _must_not_be_encoded(entity.content_type):
        kind = quoted(entity.content_type.encode())
        problems.add(entity.number, f"{kind} must not be encoded as {header.encoding}")


def _must_not_be_encoded(content_type: str) -> bool:
    return content_type.startswith("multipart/") or (
        content_type.startswith("message/") and not content_type.startswith(_MAY_BE_ENCODED)
    )


def _examine_body(content: bytes, entity: Entity, problems: Problems, *, is_ascii: bool) -> None:
    if entity.header.encoding == "base64" and entity.is_leaf:
        if not _is_base64(content[entity.body : entity.end]):
            problems.add(entity.number, "invalid base64")
    elif not is_ascii and not entity.encloses_message:
        _examine_8bit(content, entity, problems)


def _examine_8bit(content: bytes, entity: Entity, problems: Problems) -> None:
    if entity.own_text(content).isascii():
        return
    header = entity.header
    if header.encoding in ("8bit", "binary"):
        if entity.parent is None and not header.has_version:
            problems.add("", "8-bit text without the header field Mime-Version")
    elif entity.parent is None and not header.is_mime:
        problems.add("", "8-bit text without MIME header fields")
    elif entity.is_multipart:
        problems.add(entity.number, "8-bit text outside of the parts of the multipart")
    elif header.encoding in ENCODINGS:
        label = f"labelled {header.encoding}" if header.encoding else "without an encoding label"
        problems.add(entity.number, f"8-bit text {label}")


def _is_base64(text: bytes) -> bool:
    """Whole groups of four and the padding at the very end only (RFC 2045 6.8).

    White space at the ends of lines is taken for an accident, elsewhere it betrays other text.
    """
    if b" " in text or b"\t" in text:
        text = _AT_LINE_END.sub(b"", text)
    digits = text.translate(None, b"\r\n")
    padding = digits.translate(None, _BASE64)
    return len(digits) % 4 == 0 and padding in (b"", b"=", b"==") and digits.endswith(padding)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
