"""The leaves of a MIME message as filters judge them: names decoded, bodies decoded when asked.

Mail is hostile: nothing here raises on bad content. What cannot be decoded is taken as a mail
reader would take it, so that no filter is passed by a slip that readers forgive.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from functools import cached_property
from urllib.parse import unquote_to_bytes

from mta.protocol import mime_tree
from mta.protocol.header_fields import Field
from mta.protocol.mime_problem import Problems
from mta.protocol.mime_tree import Entity, TooComplex

__all__ = ["Part", "TooComplex", "decoded_words", "parts_of"]

_PARAMETER = re.compile(
    r';[ \t\r\n]*([^\s=;"]+)[ \t\r\n]*=[ \t\r\n]*(?:"((?:[^"\\]|\\.)*+)"?|([^;]*))', re.DOTALL
)
_SECTION = re.compile(r"(?P<base>[^*]+)(?:\*(?P<number>\d{1,3}))?(?P<extended>\*)?\Z")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Part:
    """One leaf. `content_type` is in lower case; `name` is its file name, "" without one."""

    content_type: str
    name: str
    charset: str
    is_attachment: bool
    encoding: str
    raw: bytes

    @cached_property
    def body(self) -> bytes:
        """The octets that a reader would save."""
        return _decoded_body(self.encoding, self.raw)

    @property
    def text(self) -> str:
        """The body as characters; what is no text in its charset is replaced."""
        try:
            return self.body.decode(self.charset or "utf-8", "replace")
        except (LookupError, ValueError):
            return self.body.decode("latin-1")


def parts_of(content: bytes, max_parts: int = 1000) -> list[Part]:
    """The leaves of a message in their order, also those of messages inside. Raises TooComplex."""
    entities = mime_tree.parse(content, Problems(), max_parts=max_parts)
    return [_part(content, entity) for entity in entities if entity.is_leaf]


def decoded_words(text: str) -> str:
    """A header value in one line with its encoded words read (RFC 2047), as readers do it: also
    within quotes. What cannot be read stays."""
    line = " ".join(text.split())
    if "=?" not in line:
        return line
    try:
        return str(make_header(decode_header(line)))
    except (LookupError, ValueError, HeaderParseError):
        return line


def _part(content: bytes, entity: Entity) -> Part:
    header = entity.header
    disposition = _parameters(header.field("content-disposition"))
    content_type = _parameters(header.field("content-type"))
    return Part(
        content_type=entity.content_type,
        name=_file_name(disposition.get("filename") or content_type.get("name", "")),
        charset=content_type.get("charset", "").strip(),
        is_attachment=disposition.get("", "").strip().lower() == "attachment",
        encoding=header.encoding,
        raw=content[entity.body : entity.end],
    )


def _parameters(field: Field | None) -> Mapping[str, str]:
    """The parameters of a field, decoded (RFC 2231); the value before them is "".

    A name in pieces is put together in the order of their numbers. A plain one counts only where
    there is no extended one, as RFC 6266 4.3 has it.
    """
    if field is None:
        return {}
    value = field.value.decode("utf-8", "surrogateescape")
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    plain: dict[str, str] = {"": value.partition(";")[0]}
    for name, quoted, bare in _PARAMETER.findall(value):
        match = _SECTION.match(name.lower())
        if match is None:
            continue
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted else bare.strip()
        if match["number"] is None and match["extended"] is None:
            plain.setdefault(match["base"], decoded_words(text))
        else:
            pieces = sections.setdefault(match["base"], {})
            pieces.setdefault(int(match["number"] or 0), (text, bool(match["extended"])))
    return {**plain, **{name: _joined(pieces) for name, pieces in sections.items()}}


def _joined(pieces: Mapping[int, tuple[str, bool]]) -> str:
    """RFC 2231, sections 3 and 4: the charset stands in the first piece."""
    charset, octets = "utf-8", b""
    for index, number in enumerate(sorted(pieces)):
        text, extended = pieces[number]
        if extended and index == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        raw = text.encode("utf-8", "surrogateescape")
        octets += unquote_to_bytes(raw) if extended else raw
    try:
        return octets.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


def _file_name(text: str) -> str:
    """Without folders, control characters and what file systems drop at its end."""
    name = _UNUSABLE.sub("", text).replace("\\", "/").rpartition("/")[2]
    return name.strip().rstrip(". ")


def _decoded_body(encoding: str, raw: bytes) -> bytes:
    if encoding == "base64":
        digits = _NOT_BASE64.sub(b"", raw)
        # Four digits are three octets; a single digit left over is none.
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw)
    return raw
