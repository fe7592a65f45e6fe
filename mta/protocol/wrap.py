"""Content rules, mode "wrap": a message that is not well-formed travels inside of one that is.

The new message tells in plain words what was wrong and has the original attached, to the last
octet. What its recipients sort and answer by is kept, where it is valid.
"""

import base64
import hashlib
import re
import textwrap
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime

from mta.protocol import header_fields, mailbox_list
from mta.protocol.header_fields import Field
from mta.protocol.mime_structure import Problem, examine

GREETING = (
    "This is the mail server {hostname}. The message for you that is attached here is not built "
    "as mail has to be, so that mail programs may show it wrongly or not at all:"
)
ATTACHED = (
    'The message is attached unchanged, as the file "{name}". Be careful with it if you do not '
    "know its sender: a message that is built wrongly may hide something."
)
FILE_NAME = "original.eml"

_WIDTH = 76
_MAX_LINE = 998
# What goes into a part of another message has to leave room for that one.
_MAX_DEPTH = 40
_MAX_PARTS = 900
# Trace and what protects from loops may stand more than once; the others may not.
_TRACE = frozenset({"received", "delivered-to", "list-id", "auto-submitted", "precedence"})
_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc"})
_ONCE = _ADDRESSES | {"subject", "date", "message-id", "in-reply-to", "references"}
_CLEAN = re.compile(rb"[!-9;-~]++:(?:(?:\r\n)?[ \t]++[!-~]++|[!-~]++)*+[ \t]*+\r\n\Z")
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?\d{1,2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} "
    r"\d\d:\d\d(?::\d\d)? (?:[+-]\d{4}|GMT|UT)(?: \([ -'*-~]*\))?\Z"
)
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]+@[!-;=?-~]+>\Z")


def wrap(
    content: bytes, problems: Sequence[Problem], *, hostname: str, at: datetime, message_id: str
) -> bytes:
    """A well-formed message, ASCII only if it can be, with the original inside.

    `hostname` is ours; `at` and `message_id` ("<...>") are used when the original has no valid
    Date and Message-ID. Raises nothing.
    """
    boundary = "=_" + hashlib.sha256(content).hexdigest()[:40]
    header, _ = header_fields.cut(content)
    head = _kept(header_fields.split(header))
    head += _missing({field.name for field in head}, hostname, at, message_id)
    kind, encoding, attached = _attachment(content)
    structure = [
        b"".join(field.raw for field in head),
        b"Mime-Version: 1.0\r\n",
        f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n'.encode(),
        b"Content-Transfer-Encoding: 8bit\r\n" if encoding == "8bit" else b"",
        f"\r\n--{boundary}\r\n".encode(),
        b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n",
        _explanation(problems, hostname),
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n".encode(),
        f"Content-Transfer-Encoding: {encoding}\r\n".encode(),
        f'Content-Disposition: attachment; filename="{FILE_NAME}"\r\n\r\n'.encode(),
        attached,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    return b"".join(structure)


def _kept(fields: list[Field]) -> list[Field]:
    """The fields that are known and valid, each of `_ONCE` once, in the order they came."""
    kept: list[Field] = []
    seen: set[str] = set()
    for field in fields:
        if field.name in seen or field.name not in _TRACE | _ONCE or not _is_valid(field):
            continue
        if field.name in _ONCE:
            seen.add(field.name)
        kept.append(field)
    return kept


def _is_valid(field: Field) -> bool:
    if not _CLEAN.match(field.raw) or max(map(len, field.raw.split(b"\r\n"))) > _MAX_LINE:
        return False
    if field.name in _ADDRESSES:
        return _is_address_list(field)
    if field.name == "date":
        return _DATE.match(field.value.decode("ascii")) is not None
    if field.name == "message-id":
        return _MESSAGE_ID.match(field.value) is not None
    return True


def _is_address_list(field: Field) -> bool:
    try:
        mailbox_list.completed(field.body, "", ace=True)
    except mailbox_list.MailboxListError:
        return False
    return bool(field.value)


def _missing(present: set[str], hostname: str, at: datetime, message_id: str) -> list[Field]:
    wanted = {
        "From": f"Mail Delivery System <mailer-daemon@{hostname}>",
        "Date": format_datetime(at),
        "Message-ID": message_id,
        "Subject": "A message that is not well-formed",
    }
    if not present & {"to", "cc"}:
        wanted["To"] = "undisclosed-recipients: ;"
    return [
        Field(name.lower(), f"{name}: {value}\r\n".encode())
        for name, value in wanted.items()
        if name.lower() not in present
    ]


def _explanation(problems: Sequence[Problem], hostname: str) -> bytes:
    paragraphs = [textwrap.fill(GREETING.format(hostname=hostname), _WIDTH)]
    paragraphs += [
        textwrap.fill(str(problem), _WIDTH, initial_indent="- ", subsequent_indent="  ")
        for problem in problems
    ]
    paragraphs.append(textwrap.fill(ATTACHED.format(name=FILE_NAME), _WIDTH))
    text = "\n\n".join(paragraphs).encode("ascii", "replace") + b"\n"
    return text.replace(b"\n", b"\r\n")


def _attachment(content: bytes) -> tuple[str, str, bytes]:
    """(type, encoding, octets): as a message if it is one that any reader can take."""
    if not examine(content, smtputf8=False, max_depth=_MAX_DEPTH, max_parts=_MAX_PARTS):
        return "message/rfc822", "7bit" if content.isascii() else "8bit", content
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    return f'application/octet-stream; name="{FILE_NAME}"', "base64", encoded
