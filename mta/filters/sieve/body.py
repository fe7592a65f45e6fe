"""The `body` test (RFC 5173): the octets of the body, or the texts of its parts decoded.

Of a large message the beginning is looked at: each text is cut, and all of them together.
"""

import binascii
import html
import quopri
import re
from collections.abc import Iterator

from mta.filters.sieve.encoded_words import decode_text
from mta.filters.sieve.message import Message
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Run, Test
from mta.protocol import mime_tree
from mta.protocol.mime_header import MimeHeader
from mta.protocol.mime_problem import Problems
from mta.protocol.mime_tree import Entity, TooComplex

MAX_TEXT = 1 << 20
# Structure is looked for in this much of a message only.
_MAX_STRUCTURE = 64 << 20
_MAX_PARTS = 200
_MARKUP = ("html", "xhtml+xml")
_CHARSET = re.compile(rb";\s*charset\s*=\s*\"?([^\s;\"]+)", re.I)


def body(run: Run, call: Call) -> bool:
    transform = call.option("transform") or "text"
    values: list[str] = []
    said = "body" if transform == "text" else f"body ({transform})"
    # Section 4: without the empty line there is no body, and nothing matches.
    if run.message.has_body:
        values = _values(run, call, transform)
    # Section 6: nor are match variables set.
    return run.compare(call, values, said, sets_variables=False)


TESTS: dict[str, Test] = {"body": body}


def _values(run: Run, call: Call, transform: str) -> list[str]:
    if transform == "raw":
        return [run.message.body(MAX_TEXT).decode("utf-8", "replace")]
    if transform == "text":
        return _remembered(run, call, ("text", "application/xhtml+xml"), plain=True)
    types = (each.lower() for each in run.texts(call.option_texts("transform")))
    return _remembered(run, call, tuple(types), plain=False)


def _remembered(run: Run, call: Call, types: tuple[str, ...], *, plain: bool) -> list[str]:
    """Rules often ask for the same texts one after the other."""
    key = (*types, "plain") if plain else types
    if key not in run.body_texts:
        run.body_texts[key] = list(_texts(run, call, types, plain=plain))
    return run.body_texts[key]


def _texts(run: Run, call: Call, types: tuple[str, ...], *, plain: bool) -> Iterator[str]:
    """The decoded texts of the parts of these types, altogether MAX_TEXT octets at most."""
    left = MAX_TEXT
    content, entities = _read(run.message)
    for entity in entities:
        if left <= 0 or not any(_is_of(entity.content_type, each) for each in types):
            continue
        octets = _decoded(entity, content, left)
        run.spend(call.at.line)
        left -= len(octets) + 1
        yield _text(entity, octets, plain=plain)


def _read(message: Message) -> tuple[bytes, list[Entity]]:
    """All parts, and the octets that their positions belong to.

    One without parts for a message that nobody could read either.
    """
    content, end = message.content[:_MAX_STRUCTURE], message.header_size
    if b"\r\n" not in content[: end + 2]:
        end += content.count(b"\n", 0, end)
        content = content.replace(b"\n", b"\r\n")
    try:
        return content, mime_tree.parse(content, Problems(), max_parts=_MAX_PARTS)
    except TooComplex:
        return content, [Entity("", 0, None, 0, end, end, len(content), MimeHeader(()), False)]


def _is_of(content_type: str, wanted: str) -> bool:
    """Section 5.2: "" is every type, a type without a subtype all of its subtypes."""
    if not wanted or content_type == wanted:
        return True
    return "/" not in wanted and content_type.partition("/")[0] == wanted


def _decoded(entity: Entity, content: bytes, limit: int) -> bytes:
    if entity.encloses_message:
        # Section 5.2: of a message that is enclosed, its header.
        child = entity.children[0]
        return content[child.start : min(child.header_end, child.start + limit)]
    if entity.is_multipart:
        return entity.own_text(content)[:limit]
    encoding = entity.header.encoding
    # Encoded, a text is at most three times as long (quoted-printable), usually a third longer.
    octets = content[entity.body : min(entity.end, entity.body + 3 * limit)]
    if encoding == "quoted-printable":
        octets = quopri.decodestring(octets)
    elif encoding == "base64":
        octets = _base64(octets)
    return octets[:limit]


def _base64(octets: bytes) -> bytes:
    digits = octets.translate(None, b" \t\r\n")
    digits = digits[: len(digits) // 4 * 4]
    try:
        return binascii.a2b_base64(digits)
    except binascii.Error:
        return octets


def _text(entity: Entity, octets: bytes, *, plain: bool) -> str:
    field = entity.header.field("content-type")
    charset = ""
    if field is not None and (match := _CHARSET.search(field.value[:1000])):
        charset = match[1].decode("ascii", "replace")
    try:
        text = decode_text(octets, charset)
    except (LookupError, UnicodeError, ValueError):
        text = octets.decode("utf-8", "replace")
    return without_markup(text) if plain and entity.header.subtype in _MARKUP else text


def without_markup(text: str) -> str:
    """HTML as its reader sees it, more or less: without tags, in linear time."""
    first, *others = text.split("<")
    # A tag is left out without a blank in its place: "V<b>I</b>P" reads as one word.
    shown = first + "".join(each.partition(">")[2] for each in others)
    try:
        return html.unescape(shown)
    except ValueError:
        return shown
