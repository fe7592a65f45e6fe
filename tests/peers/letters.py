"""Messages that can be told apart, and reports (RFC 3464) taken apart."""

import email
import email.policy
from dataclasses import dataclass
from email.message import Message
from itertools import count

from tests.support.appliance import Maildir, wait_for

_numbers = count(1)


@dataclass(frozen=True)
class Letter:
    """`token` is in the Message-ID, and so in every report on it. Lines end in CRLF."""

    token: bytes
    content: bytes

    @property
    def body(self) -> bytes:
        """As a Maildir has it."""
        return body_of(self.content.replace(b"\r\n", b"\n"))


def letter(body: bytes = b"Hello\r\n", *fields: bytes) -> Letter:
    token = b"letter-%d." % next(_numbers)
    lines = [
        b"From: someone@example.test",
        b"To: someone@else.test",
        b"Date: Sun, 1 Mar 2026 12:00:00 +0000",
        b"Subject: Test",
        b"Message-ID: <%s@example.test>" % token,
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: 8bit",
    ]
    return Letter(token, b"\r\n".join([*lines, *fields, b"", body]))


def body_of(stored: bytes) -> bytes:
    return stored.partition(b"\n\n")[2]


def arrived(box: Maildir, mail: Letter) -> bytes:
    """The letter as it lies in the mailbox, once it does."""
    return box.wait_for_messages(1, mail.token)[0]


@dataclass(frozen=True)
class Report:
    """The fields on the message, those on its recipients, and all of it as text."""

    message: Message
    recipients: list[Message]
    text: str

    @property
    def recipient(self) -> Message:
        """Of a report on one."""
        (recipient,) = self.recipients
        return recipient


def report(box: Maildir, mail: Letter, action: str) -> Report:
    """The report that a recipient of the letter was `action`, once it lies in the mailbox."""
    marks = (b"multipart/report", b"Action: %s" % action.encode())

    def found() -> list[bytes]:
        return [m for m in box.messages(mail.token) if all(mark in m for mark in marks)]

    content = wait_for(found, f"a report on {mail.token!r} in {box.path}")[0]
    parts = email.message_from_bytes(content, policy=email.policy.compat32).walk()
    (status,) = (part for part in parts if part.get_content_type() == "message/delivery-status")
    blocks = status.get_payload()
    assert isinstance(blocks, list)
    first, *rest = (block for block in blocks if isinstance(block, Message))
    return Report(first, rest, content.decode(errors="replace"))
