"""Mail that a rule writes: plain text, or a MIME entity that the rule's owner has written."""

import email.policy
import hashlib
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

_POLICY = email.policy.SMTP.clone(max_line_length=76)
_LINE_END = re.compile(r"[\r\n\x00]+")
_MAX_SUBJECT = 500


def one_line(text: str) -> str:
    """The text as it may stand in a header field."""
    return " ".join(_LINE_END.sub(" ", text).split())[:_MAX_SUBJECT]


def message_id(hostname: str, *parts: object) -> str:
    """One that is the same whenever the same mail is made again."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode("utf-8", "replace"))
    return f"<{digest.hexdigest()[:32]}@{hostname}>"


def letter(fields: dict[str, str], at: float, text: str, *, mime: bool = False) -> bytes:
    """A message with CRLF line ends. With `mime` the text is an entity with its own header."""
    header = EmailMessage(_POLICY)
    for name, value in fields.items():
        if value:
            header[name] = one_line(value)
    header["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    if not mime:
        header.set_content(text.replace("\r\n", "\n") + "\n")
        return header.as_bytes()
    entity = text.replace("\r\n", "\n").lstrip("\n").replace("\n", "\r\n")
    if "mime-version:" not in entity.partition("\r\n\r\n")[0].lower():
        header["MIME-Version"] = "1.0"
    return header.as_bytes().removesuffix(b"\r\n") + entity.encode() + b"\r\n"
