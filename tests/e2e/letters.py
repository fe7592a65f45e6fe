"""Messages that can be told from all others, and where they turn up."""

import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count
from typing import Any

from tests.support.appliance import Appliance, wait_for
from tests.support.sink import Sink, SinkMessage

_numbers = count(1)


@dataclass(frozen=True)
class Letter:
    """A message that can be told from all others by its `token`."""

    token: bytes
    content: bytes


def letter(body: bytes = b"Hello\r\n", *fields: bytes) -> Letter:
    token = b"letter-%d." % next(_numbers)
    lines = [b"From: someone@example.org", b"Subject: Test", b"Message-ID: <%s@test>" % token]
    return Letter(token, b"\r\n".join([*lines, *fields, b"", body]))


def body_of(stored: bytes) -> bytes:
    return stored.partition(b"\n\n")[2]


def relayed(sink: Sink, mail: Letter) -> SinkMessage:
    """The message once the other host has it."""

    def find() -> SinkMessage | None:
        return next((m for m in sink.messages if mail.token in m.content), None)

    return wait_for(find, f"{mail.token!r} to be relayed")


def report_to(site: Appliance, address: str, mail: Letter) -> EmailMessage:
    """The DSN about the message, once it lies in the mailbox."""
    box = site.maildir(address)
    (content,) = wait_for(
        lambda: [m for m in box.messages(mail.token) if b"multipart/report" in m],
        f"a DSN about {mail.token!r}",
    )
    return email.message_from_bytes(content, policy=email.policy.default)


def status_fields(report: EmailMessage) -> tuple[Any, Any]:
    """The fields on the message and those on its only recipient (RFC 3464 2.2, 2.3)."""
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, original = report.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert original.get_content_type() in ("message/rfc822", "text/rfc822-headers")
    message, recipient = status.get_payload()
    return message, recipient
