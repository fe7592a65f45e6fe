"""A message with 8-bit text, rewritten for a peer without 8BITMIME (RFC 6152 3, RFC 2045 6).

Works on the octets and touches only what has to change: parts that are 7-bit already stay as
they are to the last octet. What cannot be rewritten faithfully is refused.
"""

import base64
import binascii
import quopri
import re
from email.message import Message
from email.parser import BytesHeaderParser

_MAX_DEPTH = 20
_TRANSFER_ENCODING = re.compile(
    rb"^content-transfer-encoding[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n", re.I | re.M
)
_IDENTITY = ("", "7bit", "8bit", "binary")


class CannotConvert(ValueError):
    """The message is 8-bit and must stay so; the text says why."""


def to_seven_bit(message: bytes) -> bytes:
    """The same message in ASCII only; an ASCII message is returned as it is.

    `message` has CRLF line ends. Raises CannotConvert.
    """
    if message.isascii():
        return message
    header, _ = _split(message)
    if re.search(rb"^mime-version[ \t]*:", header, re.I | re.M) is None:
        raise CannotConvert("it has 8-bit text but is no MIME message")
    return _convert(message, 0)


def _convert(entity: bytes, depth: int) -> bytes:
    if entity.isascii():
        return entity
    header, body = _split(entity)
    if not header.isascii():
        raise CannotConvert("it has 8-bit text in a header")
    if depth > _MAX_DEPTH:
        raise CannotConvert("its parts are nested too deeply")
    fields = BytesHeaderParser().parsebytes(header)
    encoding = str(fields.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in _IDENTITY:
        raise CannotConvert(f"it has 8-bit text in a part labelled {encoding}")
    kind = fields.get_content_maintype()
    if kind == "multipart":
        return _relabelled(header) + _convert_parts(fields, body, depth)
    if kind == "message":
        return _relabelled(header) + _convert_enclosed(fields, body, depth)
    return _encode_leaf(header, body, is_text=kind == "text" and encoding != "binary")


def _split(entity: bytes) -> tuple[bytes, bytes]:
    """(header with the end of its last line, empty line and body)."""
    if entity.startswith(b"\r\n"):
        return b"", entity
    end = entity.find(b"\r\n\r\n")
    return (entity, b"") if end < 0 else (entity[: end + 2], entity[end + 2 :])


def _convert_parts(fields: Message, body: bytes, depth: int) -> bytes:
    if fields.get_content_subtype() in ("signed", "encrypted"):
        raise CannotConvert("it is signed, and a conversion would break the signature")
    boundary = fields.get_boundary()
    if not boundary or not boundary.isascii():
        raise CannotConvert("it has a multipart without boundary")
    delimiter = re.compile(rb"\r\n--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    result: list[bytes] = []
    position, in_part = 0, False
    for match in delimiter.finditer(body):
        result += [_converted_piece(body[position : match.start()], in_part, depth), match[0]]
        position, in_part = match.end(), match[1] is None
        if not in_part:
            break
    result.append(_converted_piece(body[position:], in_part, depth))
    return b"".join(result)


def _converted_piece(piece: bytes, in_part: bool, depth: int) -> bytes:
    """A part with the line end that follows its delimiter, or a preamble or epilogue."""
    if in_part:
        return piece[:2] + _convert(piece[2:], depth + 1)
    if not piece.isascii():
        raise CannotConvert("it has 8-bit text outside of its parts")
    return piece


def _convert_enclosed(fields: Message, body: bytes, depth: int) -> bytes:
    if fields.get_content_type() != "message/rfc822":
        raise CannotConvert(f"it has 8-bit text in a part of type {fields.get_content_type()}")
    return body[:2] + _convert(body[2:], depth + 1)


def _encode_leaf(header: bytes, body: bytes, *, is_text: bool) -> bytes:
    empty_line, text = body[:2], body[2:]
    if is_text:
        quoted = binascii.b2a_qp(text, istext=True)
        if quopri.decodestring(quoted) == text:
            return _labelled(header, b"quoted-printable") + empty_line + quoted
    encoded = base64.encodebytes(text).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    return _labelled(header, b"base64") + empty_line + encoded


def _labelled(header: bytes, encoding: bytes) -> bytes:
    """The header with this Content-Transfer-Encoding, in place of the old one if there was one."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    if _TRANSFER_ENCODING.search(header):
        return _TRANSFER_ENCODING.sub(field, header, count=1)
    return header + field


def _relabelled(header: bytes) -> bytes:
    """For an entity that holds others: what was 8bit inside is 7bit now."""
    return _TRANSFER_ENCODING.sub(b"Content-Transfer-Encoding: 7bit\r\n", header, count=1)
