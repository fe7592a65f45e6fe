"""The MIME fields of one header section (RFC 2045 5 and 6, RFC 2046 5.1.1)."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from mta.protocol.header_fields import Field, split

IDENTITY = ("", "7bit", "8bit", "binary")
ENCODINGS = (*IDENTITY, "quoted-printable", "base64")

# The ends are optional, so that a hostile value without them is not searched again and again.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*+"?)|\((?:[^()\\]|\\.)*+\)?')
_TYPE = re.compile(r"[ \t]*([^\s/;]+)/([^\s/;]+)[ \t]*(?:;|\Z)")
_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^;\s]*))')
# RFC 2046 allows less, but everybody takes any printable ASCII.
_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]\Z")

_REMEMBERED = 256
_REMEMBERED_SIZE = 4096


@dataclass(frozen=True, slots=True)
class MimeHeader:
    """What the header section of a message or part says about its body.

    `maintype` and `subtype` are in lower case and "" when there is no Content-Type, or none that
    can be read. `boundary` is "" when there is none that can be used; `boundaries` tells how many
    are named. `duplicates` are names of fields that may stand once only.
    """

    fields: tuple[Field, ...]
    has_version: bool = False
    has_type: bool = False
    maintype: str = ""
    subtype: str = ""
    encoding: str = ""
    boundary: str = ""
    boundaries: int = 0
    has_charset: bool = False
    duplicates: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        return f"{self.maintype}/{self.subtype}" if self.maintype else ""

    @property
    def is_mime(self) -> bool:
        return any(is_mime_name(field.name) for field in self.fields)

    def field(self, name: str) -> Field | None:
        """The first field of this name."""
        return next((field for field in self.fields if field.name == name), None)


def is_mime_name(name: str) -> bool:
    return name == "mime-version" or name.startswith("content-")


def parse(header: bytes) -> MimeHeader:
    """Read a header section, which ends before the empty line. Raises nothing.

    Parts of different messages often have the very same header, and that of a message is read by
    several steps in a row, so the last ones are remembered.
    """
    return _remembered(header) if len(header) <= _REMEMBERED_SIZE else _parse(header)


def _parse(header: bytes) -> MimeHeader:
    fields = tuple(split(header))
    names = Counter(field.name for field in fields if is_mime_name(field.name))
    if not names:
        return MimeHeader(fields)
    values = {field.name: _text(field) for field in reversed(fields) if field.name in names}
    content_type = values.get("content-type", "")
    maintype, subtype = _type(content_type)
    parameters = _parameters(content_type)
    boundaries = parameters.get("boundary", [])
    return MimeHeader(
        fields=fields,
        has_version="mime-version" in values,
        has_type="content-type" in values,
        maintype=maintype,
        subtype=subtype,
        encoding=values.get("content-transfer-encoding", "").strip().lower(),
        boundary=_usable(boundaries),
        boundaries=len(boundaries),
        has_charset=any(name.partition("*")[0] == "charset" for name in parameters),
        duplicates=tuple(sorted(name for name, count in names.items() if count > 1)),
    )


_remembered = lru_cache(maxsize=_REMEMBERED)(_parse)


def _text(field: Field) -> str:
    text = field.value.decode("latin-1")
    return _COMMENT.sub(lambda match: match[1] or " ", text) if "(" in text else text


def _type(content_type: str) -> tuple[str, str]:
    match = _TYPE.match(content_type)
    return (match[1].lower(), match[2].lower()) if match else ("", "")


def _parameters(content_type: str) -> dict[str, list[str]]:
    """Values by name in lower case; a boundary in pieces (RFC 2231 3) is put together."""
    found: dict[str, list[str]] = {}
    pieces: dict[str, str] = {}
    for name, in_quotes, plain in _PARAMETER.findall(content_type):
        value = re.sub(r"\\(.)", r"\1", in_quotes) if in_quotes else plain
        base, star, number = name.lower().partition("*")
        if star and number.isdigit():
            pieces[base] = pieces.get(base, "") + value
        else:
            found.setdefault(name.lower(), []).append(value)
    for base, value in pieces.items():
        found.setdefault(base, []).append(value)
    return found


def _usable(boundaries: list[str]) -> str:
    if len(boundaries) != 1:
        return ""
    boundary = boundaries[0].rstrip(" ")
    return boundary if _BOUNDARY.match(boundary) else ""
