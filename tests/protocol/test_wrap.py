"""Mode "wrap": broken mail arrives inside of well-formed mail, to the last octet."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from mta.protocol.mime_structure import Problem, examine
from mta.protocol.wrap import wrap
from tests.support.messages import BROKEN, GOOD

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PROBLEMS = (Problem("1.2", "invalid base64"), Problem("", "a NUL character in the header"))


def wrapped(content: bytes) -> bytes:
    return wrap(
        content,
        examine(content, smtputf8=False) or PROBLEMS,
        hostname="mail.example.test",
        at=AT,
        message_id="<w1@mail.example.test>",
    )


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(wrapped(content), policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("name", BROKEN)
def test_the_original_is_inside_unchanged(name: str) -> None:
    message = parsed(BROKEN[name])
    assert examine(wrapped(BROKEN[name]), smtputf8=False) == ()
    assert message.get_content_type() == "multipart/mixed"
    (attachment,) = message.iter_attachments()
    assert attachment.get_content_type() == "application/octet-stream"
    assert attachment.get_filename() == "original.eml"
    assert attachment.get_content() == BROKEN[name]


def test_the_text_tells_what_was_wrong_and_who_says_so() -> None:
    text = parsed(BROKEN["8bit_unlabelled_part"]).get_body().get_content()
    assert "mail.example.test" in text
    assert "- part 2: 8-bit text without an encoding label" in text
    assert "original.eml" in text
    assert max(map(len, text.splitlines())) <= 78


def test_what_recipients_sort_and_answer_by_is_kept() -> None:
    message = parsed(BROKEN["truncated"])
    original = email.message_from_bytes(BROKEN["truncated"], policy=email.policy.SMTP)
    for name in ("From", "To", "Subject", "Date", "Message-ID", "Received"):
        assert message[name] == original[name]


def test_fields_that_are_not_valid_are_replaced_or_left_out() -> None:
    message = parsed(
        "From: Jürgen <j@example.org>\r\nTo: not a list\r\nCc: <>\r\nSubject: Grüße\r\n"
        "Date: yesterday\r\nMessage-ID: none\r\nReply-To: a@b, c\r\nX-More: y\r\n"
        "DKIM-Signature: v=1\r\nContent-Type: text/x\r\n\r\nGrüße\r\n".encode()
    )
    assert message["From"] == "Mail Delivery System <mailer-daemon@mail.example.test>"
    assert message["To"] == "undisclosed-recipients:;"
    assert message["Subject"] == "A message that is not well-formed"
    assert message["Date"].datetime == AT
    assert message["Message-ID"] == "<w1@mail.example.test>"
    assert message["Reply-To"] == "a@b, c"
    assert {"cc", "x-more", "dkim-signature"}.isdisjoint(name.lower() for name in message)
    assert message.get_all("Content-Type") == [message["Content-Type"]]


def test_a_field_that_may_be_there_once_is_kept_once() -> None:
    message = parsed(b"Received: a\r\nReceived: b\r\nSubject: one\r\nSubject: two\r\n\r\n\xff")
    assert message.get_all("Subject") == ["one"]
    assert message.get_all("Received") == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: " + b"x" * 1000,
        b"Subject: a\x00b",
        b"Subject: \x1b[2J",
        b"Subject: a\r\n \r\n b",
        b"Subject : a",
        b"Subject",
        b"To: " + b"(" * 10_000,
        b"Date: " + b"1" * 10_000,
        b"Subject: " + b"a " * 300_000,
        b"Subject:" + b"\r\n a" * 300_000 + b"\x00",
    ],
)
def test_hostile_fields_do_not_get_through(line: bytes) -> None:
    content = line + b"\r\n\r\n\xff"
    message = parsed(content)
    assert message["Subject"] == "A message that is not well-formed"
    assert message["Date"].datetime == AT
    assert not message.defects


def test_a_message_that_any_reader_can_take_is_attached_as_one() -> None:
    for name in ("nested", "utf8"):
        message = parsed(GOOD[name])
        (attachment,) = message.iter_attachments()
        assert attachment.get_content_type() == "message/rfc822"
        assert b"\r\n\r\n" + GOOD[name] + b"\r\n--=_" in wrapped(GOOD[name])
        assert examine(wrapped(GOOD[name]), smtputf8=False) == ()
