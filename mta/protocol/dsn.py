"""Delivery status notifications (RFC 3464) as text: facts in, a MIME message out.

Three parts (RFC 6522): words for people, fields for programs, and the message or its header.
Where addresses are international the parts are the "global" ones of RFC 6533. The wording is in
`mta.protocol.dsn_text`; who gets a report is decided in `mta.transports.dsn`.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum

from mta.protocol import address, dsn_copy, dsn_text, headers, status
from mta.protocol.reply import Reply

DSN_LIMIT = 32 << 10
MAX_DIAGNOSTIC = 1500
WIDTH = 76
# A word beyond this many octets is cut, so that no line comes near the 998 that are allowed.
MAX_WORD = 900

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,240}>\Z")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
_REMOTE = re.compile(r"(\S+) \[(\S+)\]\Z")


class Action(StrEnum):
    """What happened to a recipient (RFC 3464 2.3.3), in the order in which a report tells it."""

    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    FAILED = "failed"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """The facts on one recipient. Times are in seconds since the epoch, None when not known.

    `original_recipient` is "type;address" in clear, `remote` is "host [ip]" or "" when the
    reply was made here, `command` is what the remote host replied to, "" when not known.
    `expired`: it failed because its time ran out, and `reply` is the last answer before.
    """

    address: str
    action: Action
    reply: Reply
    original_recipient: str = ""
    remote: str = ""
    command: str = ""
    expired: bool = False
    attempted_at: float | None = None
    will_retry_until: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A message, and those of its recipients that its sender shall hear about now.

    `hostname` is ours; `content` the stored message, of which a report on failures carries all
    when it is smaller than `limit` octets and `ret` is not "HDRS", else the header only.
    `received_from` is the host that it came from as "dns; name ([ip])". `double_bounce_to` gets
    what no sender can be told, the postmaster when it is "".
    """

    hostname: str
    queue_id: str
    reverse_path: str
    arrived_at: float
    made_at: float
    content: bytes
    recipients: tuple[RecipientReport, ...]
    envid: str = ""
    ret: str = ""
    received_from: str = ""
    smtputf8: bool = False
    limit: int = DSN_LIMIT
    wording: dsn_text.Wording = dsn_text.Wording()
    double_bounce_to: str = ""

    @property
    def actions(self) -> frozenset[Action]:
        return frozenset(each.action for each in self.recipients)

    @property
    def postmaster(self) -> str:
        return f"postmaster@{self.hostname}"


@dataclass(frozen=True, slots=True)
class Rendering:
    """A report as a message with CRLF line ends, and whether it needs SMTPUTF8 to travel."""

    content: bytes
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """One body part: its content type with parameters, and its octets."""

    content_type: str
    body: bytes

    def encode(self) -> bytes:
        encoding = "7bit" if self.body.isascii() else "8bit"
        head = f"Content-Type: {self.content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        return head.encode("ascii") + b"\r\n" + self.body


def render(report: Report, to: str, *, double_bounce: bool = False) -> Rendering:
    """The report as a message to the address `to`.

    A double bounce tells the postmaster what cannot be told to a sender: it carries the whole
    message whatever its size.
    """
    whole = double_bounce or _wants_whole(report)
    facts = headers.scan(dsn_copy.header_of(report.content))
    words = _words(report, facts.subject, whole=whole, double_bounce=double_bounce)
    parts = [
        _Part("text/plain; charset=utf-8", _flowed(words)),
        _status_part(report),
        _Part(*dsn_copy.make(report.content, whole=whole, smtputf8=report.smtputf8)),
    ]
    encoded = [part.encode() for part in parts]
    boundary = _boundary(report, encoded)
    fields = [
        *_origin_fields(report, to, _subject(report, double_bounce=double_bounce)),
        *_reference_fields(facts.message_id),
        *_mime_fields(parts, boundary),
    ]
    head = "".join(_field(*each) for each in fields)
    delimiter = f"\r\n--{boundary}\r\n".encode("ascii")
    content = b"".join(
        [
            head.encode("utf-8", "replace"),
            *(delimiter + each for each in encoded),
            f"\r\n--{boundary}--\r\n".encode("ascii"),
        ]
    )
    is_global = any(part.content_type.startswith("message/global") for part in parts)
    return Rendering(content, is_global or not to.isascii())


def _wants_whole(report: Report) -> bool:
    return (
        Action.FAILED in report.actions
        and len(report.content) < report.limit
        and report.ret != "HDRS"
    )


def _subject(report: Report, *, double_bounce: bool) -> str:
    if double_bounce:
        name = "subject_double_bounce"
    elif Action.FAILED in report.actions:
        name = "subject_failed"
    elif Action.DELAYED in report.actions:
        name = "subject_delayed"
    else:
        name = "subject_success"
    return " ".join(report.wording.say(name))


def _origin_fields(report: Report, to: str, subject: str) -> list[tuple[str, str]]:
    return [
        ("Date", _date(report.made_at)),
        ("From", f"{_display_name(report)} <{report.postmaster}>"),
        ("To", f"<{address.wire(to)}>"),
        ("Subject", subject),
        ("Message-ID", f"<{_digest(report)}.{report.queue_id}@{report.hostname}>"),
        ("Auto-Submitted", "auto-replied"),
    ]


def _display_name(report: Report) -> str:
    """As an atom or a quoted string (RFC 5322 3.4)."""
    name = " ".join(report.wording.say("from_name"))
    if all(char.isalnum() or char == " " for char in name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _reference_fields(message_id: str) -> list[tuple[str, str]]:
    if not _MESSAGE_ID.match(message_id):
        return []
    return [("In-Reply-To", message_id), ("References", message_id)]


def _mime_fields(parts: list[_Part], boundary: str) -> list[tuple[str, str]]:
    kind = parts[1].content_type.removeprefix("message/")
    eight_bit = not all(part.body.isascii() for part in parts)
    return [
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; report-type={kind}; boundary="{boundary}"'),
        ("Content-Transfer-Encoding", "8bit" if eight_bit else "7bit"),
    ]


def _words(report: Report, subject: str, *, whole: bool, double_bounce: bool) -> list[str]:
    """The part for people, as lines of any length."""
    say = report.wording.say
    greeting = "greeting_double_bounce" if double_bounce else "greeting"
    lines = [*say(greeting, hostname=report.hostname), ""]
    if subject:
        lines += _indented(say("about_subject", subject=_clean(subject)[:200]), 2)
    lines += _indented(say("about_arrival", arrival=_date(report.arrived_at)), 2)
    lines += _indented(say("about_queue_id", queue_id=report.queue_id), 2)
    for action in Action:
        members = [each for each in report.recipients if each.action is action]
        if members:
            lines += ["", *say(action.value)]
        for member in members:
            lines += ["", *_words_on(member, report.wording)]
    lines += ["", *say("attached_message" if whole else "attached_header")]
    if not double_bounce:
        lines += say("help", postmaster=report.postmaster)
    return lines


def _words_on(recipient: RecipientReport, wording: dsn_text.Wording) -> list[str]:
    lines = [f"  {_clean(_shown(recipient))}"]
    if recipient.action in (Action.FAILED, Action.DELAYED):
        advice = dsn_text.advice(_status(recipient))
        lines += [f"    {advice}"] if advice else []
        lines += _indented(_answer(recipient, wording), 4)
    if recipient.action is Action.DELAYED and recipient.will_retry_until is not None:
        until = _date(recipient.will_retry_until)
        lines += _indented(wording.say("giving_up_at", until=until), 4)
    return lines


def _answer(recipient: RecipientReport, wording: dsn_text.Wording) -> list[str]:
    """Who said what, at most MAX_DIAGNOSTIC characters of it."""
    remote, command = _clean(recipient.remote), _clean(recipient.command)[:200]
    said = _clean(str(recipient.reply))[:MAX_DIAGNOSTIC]
    if not remote:
        return [said]
    if command:
        return [*wording.say("answer_to_command", remote=remote, command=command), f"  {said}"]
    return [*wording.say("answer", remote=remote), f"  {said}"]


def _indented(lines: list[str], blanks: int) -> list[str]:
    return [" " * blanks + line for line in lines]


def _shown(recipient: RecipientReport) -> str:
    """The address as the sender knows it: the original one when it was given."""
    _, _, original = recipient.original_recipient.partition(";")
    return original or recipient.address


def _status_part(report: Report) -> _Part:
    """The fields for programs (RFC 3464 2.2, 2.3; RFC 6533 4)."""
    addresses = [text for each in report.recipients for text in _addresses(each)]
    is_global = report.smtputf8 and not all(text.isascii() for text in addresses)
    groups = [_message_fields(report)]
    groups += [_recipient_fields(each, report.queue_id) for each in report.recipients]
    form = str if is_global else _escaped
    text = "\r\n".join(
        "".join(_field(name, form(value)) for name, value in group if value) for group in groups
    )
    kind = "message/global-delivery-status" if is_global else "message/delivery-status"
    return _Part(kind, text.encode("utf-8", "replace"))


def _addresses(recipient: RecipientReport) -> tuple[str, str]:
    return recipient.address, recipient.original_recipient


def _message_fields(report: Report) -> list[tuple[str, str]]:
    return [
        ("Original-Envelope-Id", report.envid),
        ("Reporting-MTA", f"dns; {report.hostname}"),
        ("Received-From-MTA", report.received_from),
        ("Arrival-Date", _date(report.arrived_at)),
    ]


def _recipient_fields(recipient: RecipientReport, queue_id: str) -> list[tuple[str, str]]:
    kind, _, original = recipient.original_recipient.partition(";")
    reply = str(recipient.reply)[:MAX_DIAGNOSTIC]
    return [
        ("Original-Recipient", f"{kind}; {original}" if original else ""),
        ("Final-Recipient", _typed(recipient.address)),
        ("Action", recipient.action.value),
        ("Status", _status(recipient)),
        ("Remote-MTA", _remote(recipient.remote)),
        ("Diagnostic-Code", f"{'smtp' if recipient.remote else 'X-CourierWeb'}; {reply}"),
        ("Last-Attempt-Date", _date(recipient.attempted_at)),
        ("Final-Log-ID", queue_id),
        ("Will-Retry-Until", _date(recipient.will_retry_until)),
    ]


def _remote(name: str) -> str:
    """ "host [ip]" as a DNS name with a comment."""
    return "dns; " + _REMOTE.sub(r"\1 (\2)", name) if name else ""


def _typed(recipient: str) -> str:
    return f"{'rfc822' if recipient.isascii() else 'utf-8'}; {address.wire(recipient)}"


def _status(recipient: RecipientReport) -> str:
    """The enhanced status; the plainest one of its class where the reply had none."""
    if recipient.expired:
        return status.EXPIRED
    if _STATUS.match(recipient.reply.status):
        return recipient.reply.status
    if recipient.action is Action.FAILED:
        return "5.0.0"
    return "4.0.0" if recipient.action is Action.DELAYED else "2.0.0"


def _boundary(report: Report, parts: list[bytes]) -> str:
    """A boundary that none of the parts holds."""
    number = 0
    while True:
        boundary = f"=_{report.queue_id}_{_digest(report)}_{number}"
        if not any(boundary.encode("ascii") in part for part in parts):
            return boundary
        number += 1


def _digest(report: Report) -> str:
    """A short text that differs between the reports on one message."""
    facts = [report.queue_id, str(report.made_at)]
    facts += [f"{each.address} {each.action.value}" for each in report.recipients]
    return hashlib.sha256("\n".join(facts).encode("utf-8", "replace")).hexdigest()[:16]


def _date(seconds: float | None) -> str:
    return "" if seconds is None else format_datetime(datetime.fromtimestamp(seconds, UTC))


def _clean(text: str) -> str:
    """One line of printable text."""
    return "".join(char if char.isprintable() else " " for char in text)


def _escaped(text: str) -> str:
    r"""ASCII only: other characters as \x{HEX} (RFC 6533 3)."""
    return "".join(char if char.isascii() else f"\\x{{{ord(char):X}}}" for char in text)


def _field(name: str, value: str) -> str:
    """One header field, folded."""
    return "\r\n".join(_folded(f"{name}: {_clean(value)}", " ")) + "\r\n"


def _flowed(lines: list[str]) -> bytes:
    """Lines for people, broken at blanks, each broken line indented like its first."""
    broken: list[str] = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        broken += _folded(line, indent)
    return ("\r\n".join(broken) + "\r\n").encode("utf-8", "replace")


def _folded(line: str, indent: str) -> list[str]:
    """The line cut at blanks into pieces of about WIDTH; a word that is too long is cut too."""
    pieces: list[str] = []
    piece = indent if line.startswith(" ") else ""
    for word in (part for whole in line.split() for part in _cut_word(whole)):
        if piece.strip() and len(piece) + 1 + len(word) > WIDTH:
            pieces.append(piece)
            piece = indent
        piece += f" {word}" if piece.strip() else word
    return [*pieces, piece]


def _cut_word(word: str) -> list[str]:
    """Pieces of at most MAX_WORD octets in UTF-8, where a character has up to four."""
    if len(word.encode("utf-8", "replace")) <= MAX_WORD:
        return [word]
    return [word[start : start + MAX_WORD // 4] for start in range(0, len(word), MAX_WORD // 4)]
