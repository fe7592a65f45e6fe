"""Content made fit for transport: no line beyond 998 octets, no NUL (RFC 5321 4.5.3.1.6, 4.5.2).

Only the parts that offend are encoded. What cannot be encoded faithfully stays as it is, because
a line too long is the smaller evil: what a signature covers, headers, and text of which it is not
known what it means.
"""

import base64
import binascii
import quopri

from mta.protocol import dkim_cover, mime_tree, transfer_encoding
from mta.protocol.mime_edit import Edits
from mta.protocol.mime_header import IDENTITY
from mta.protocol.mime_problem import Problems
from mta.protocol.mime_tree import Entity

MAX_LINE = 998

_PLAIN_TEXT = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"


def within_limits(message: bytes) -> bytes:
    """The message with its offending parts encoded, the same object when there is none.

    `message` has CRLF line ends.
    """
    if not _offends(message):
        return message
    try:
        entities = mime_tree.parse(message, Problems())
    except mime_tree.TooComplex:
        return message
    edits = Edits(message)
    for entity in entities:
        if entity.is_leaf and not _is_covered(entity):
            _encode_leaf(message, entity, edits)
    return edits.apply()


def _offends(text: bytes) -> bool:
    if b"\0" in text:
        return True
    start = 0
    # From line start to line start, over as many lines at once as fit into the longest one.
    while len(text) - start > MAX_LINE:
        end = text.rfind(b"\n", start, start + MAX_LINE + 2)
        if end < 0:
            return True
        start = end + 1
    return False


def _is_covered(entity: Entity) -> bool:
    """Whether a signature of the message, or of one that encloses it, would break."""
    above: Entity | None = entity
    while above is not None:
        if above.opaque or dkim_cover.cover(above.header.fields).is_signed:
            return True
        above = above.parent
    return False


def _encode_leaf(message: bytes, entity: Entity, edits: Edits) -> None:
    text = message[entity.body : entity.end]
    header = entity.header
    if not _offends(text) or header.maintype in ("multipart", "message"):
        return
    if _is_message(entity) and not header.has_version:
        if header.is_mime or not text.isascii():
            return
        edits.replace(entity.header_end, entity.header_end, _PLAIN_TEXT)
    try:
        decoded = _decoded(text, header.encoding)
    except ValueError:
        return
    is_text = header.maintype in ("", "text") and header.encoding not in ("binary", "base64")
    encoding, encoded = transfer_encoding.encode(decoded, is_text=is_text)
    label = f"Content-Transfer-Encoding: {encoding}\r\n".encode()
    edits.set_field(entity, "content-transfer-encoding", label)
    edits.replace(entity.body, entity.end, encoded)


def _is_message(entity: Entity) -> bool:
    return entity.parent is None or entity.parent.encloses_message


def _decoded(text: bytes, encoding: str) -> bytes:
    """Raises ValueError when it is not encoded as it says, or in a way that is not known."""
    if encoding in IDENTITY:
        return text
    if encoding == "quoted-printable":
        return quopri.decodestring(text)
    if encoding != "base64":
        raise ValueError(f"{encoding} is no known encoding")
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
