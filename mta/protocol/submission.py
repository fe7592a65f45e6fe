"""From what a local program writes to `sendmail` to an envelope and a whole message.

Programs write LF line ends, leave out headers and name recipients in To, Cc and Bcc. What is
missing is added (RFC 6409 section 8 lets a submission server do so), what is there is kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, formataddr, getaddresses

from mta.protocol import address, headers, status
from mta.protocol.envelope import Envelope, Recipient, Source
from mta.protocol.reply import Reply

# A line that begins like this continues or begins a header (RFC 5322 2.2).
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_MBOX_FROM = re.compile(rb">?From [^\n]*\n")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class SubmissionError(Exception):
    """The message cannot be taken; `reply` says why."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, enhanced, text)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a local program wants to send.

    `recipients` are those named on the command line; without any, they are read from To, Cc and
    Bcc, or with `bcc_only` from Bcc. `author` and `author_name` are for a From header that is
    missing. `notify` is a NOTIFY list in upper case. `unique` is the left side of a Message-ID.
    `helo` names the host that it came from, "" for this one.
    """

    content: bytes
    hostname: str
    reverse_path: str
    author: str
    at: datetime
    unique: str
    author_name: str = ""
    recipients: tuple[str, ...] = ()
    bcc_only: bool = False
    notify: str = ""
    ret: str = ""
    envid: str = ""
    verp: bool = False
    source: Source = Source.LOCAL
    helo: str = ""


@dataclass(slots=True)
class Header:
    """One header as it was written: `name` in lower case, `lines` with CRLF line ends."""

    name: str
    lines: bytes

    @property
    def value(self) -> str:
        return self.lines.partition(b":")[2].decode("utf-8", "replace").replace("\r\n", "")


def build(draft: Draft) -> tuple[Envelope, bytes]:
    """The envelope and the message with CRLF line ends. Raises SubmissionError."""
    fields, body = split_message(draft.content)
    recipients = _recipients(draft, fields)
    if draft.bcc_only or not draft.recipients:
        fields = [field for field in fields if field.name != "bcc"]
    fields += _missing(draft, {field.name for field in fields})
    head = b"".join(field.lines for field in fields)
    content = headers.rename_return_path(head + b"\r\n" + body)
    envelope = Envelope(
        reverse_path=_address(draft.reverse_path, draft.hostname) if draft.reverse_path else "",
        recipients=recipients,
        source=draft.source,
        helo=draft.helo,
        ret=draft.ret,
        envid=draft.envid,
        verp=draft.verp,
        smtputf8=not head.isascii()
        or not draft.reverse_path.isascii()
        or any(not recipient.address.isascii() for recipient in recipients),
    )
    return envelope, content


def split_message(content: bytes) -> tuple[list[Header], bytes]:
    """The headers and the body, all with CRLF line ends.

    An mbox "From " line is dropped. The first line that is no header ends the headers, whether
    or not an empty line stands before it.
    """
    text = _LINE_END.sub(b"\n", content)
    mbox = _MBOX_FROM.match(text)
    position = mbox.end() if mbox else 0
    fields: list[Header] = []
    for line in _lines(text, position):
        match = _FIELD.match(line)
        if match:
            name = match.group(1).decode("ascii").lower()
            fields.append(Header(name, _crlf(line)))
        elif fields and line[:1] in (b" ", b"\t"):
            fields[-1].lines += _crlf(line)
        else:
            position += 1 if line == b"\n" else 0
            break
        position += len(line)
    return fields, _body(text[position:])


def _body(text: bytes) -> bytes:
    """The body with CRLF line ends, its last line ended."""
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return text.replace(b"\n", b"\r\n")


def _lines(text: bytes, start: int) -> Iterator[bytes]:
    while start < len(text):
        end = text.find(b"\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _crlf(line: bytes) -> bytes:
    return line.rstrip(b"\n") + b"\r\n"


def _recipients(draft: Draft, fields: list[Header]) -> tuple[Recipient, ...]:
    """Each recipient once, in the order given. Raises SubmissionError when there is none."""
    named = draft.recipients
    if not named or draft.bcc_only:
        wanted = ("bcc",) if draft.bcc_only else ("to", "cc", "bcc")
        values = [field.value for field in fields if field.name in wanted]
        named = tuple(text for _, text in getaddresses(values) if text)
    addresses = dict.fromkeys(_address(text, draft.hostname) for text in named)
    if not addresses:
        raise SubmissionError(511, "5.1.3", "no recipient is named")
    return tuple(Recipient(text, draft.notify) for text in addresses)


def _address(text: str, hostname: str) -> str:
    """A whole address; a lone local part is of this host. Raises SubmissionError."""
    bare = text.strip().removeprefix("<").removesuffix(">")
    try:
        parsed = address.parse(bare, need_domain=False)
    except (address.AddressError, UnicodeEncodeError) as error:
        raise SubmissionError(
            553, status.BAD_ADDRESS_SYNTAX, f"{ascii(text)[1:-1]}: {error}"
        ) from error
    return parsed if "@" in bare else f"{parsed}@{hostname}"


def _missing(draft: Draft, present: set[str]) -> list[Header]:
    """The headers that a message must have and this one has not (RFC 5322 3.6)."""
    wanted = {
        "From": _from(draft),
        "Date": format_datetime(draft.at),
        "Message-ID": f"<{draft.unique}@{draft.hostname}>",
    }
    added = [(name, value) for name, value in wanted.items() if name.lower() not in present]
    if not present & {"to", "cc"}:
        added.append(("To", "undisclosed-recipients: ;"))
    return [Header(name.lower(), f"{name}: {value}\r\n".encode()) for name, value in added]


def _from(draft: Draft) -> str:
    whole = _address(draft.author, draft.hostname)
    name = "".join(char for char in draft.author_name if char.isprintable())
    if not name:
        return address.wire(whole)
    try:
        return formataddr((name, address.wire(whole)))
    except UnicodeEncodeError:
        return address.wire(whole)
