"""What `sendmail` makes of what programs write to it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.envelope import Source
from mta.protocol.submission import Draft, SubmissionError, build, split_message

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def draft(content: bytes, **fields) -> Draft:
    values = {
        "hostname": "me.test",
        "reverse_path": "ann@me.test",
        "author": "ann@me.test",
        "at": AT,
        "unique": "1.2",
        **fields,
    }
    return Draft(content=content, **values)


def addresses(content: bytes, **fields) -> list[str]:
    envelope, _ = build(draft(content, **fields))
    return [recipient.address for recipient in envelope.recipients]


def headers(content: bytes) -> list[bytes]:
    return content.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_missing_headers_are_added_and_line_ends_are_crlf():
    envelope, content = build(draft(b"Subject: hi\n\nline\nlast", recipients=("bob",)))
    assert headers(content) == [
        b"Subject: hi",
        b"From: ann@me.test",
        b"Date: Fri, 02 Jan 2026 03:04:05 +0000",
        b"Message-ID: <1.2@me.test>",
        b"To: undisclosed-recipients: ;",
    ]
    assert content.endswith(b"\r\n\r\nline\r\nlast\r\n")
    assert envelope.source is Source.LOCAL
    assert envelope.reverse_path == "ann@me.test"


def test_headers_that_are_there_are_kept():
    written = b"From: x@y.test\nDate: then\nMessage-Id: <a@b>\nCc: c@d.test\n\n"
    _, content = build(draft(written))
    assert content == written.replace(b"\n", b"\r\n")


def test_recipients_come_from_the_headers_once_each_and_bcc_vanishes():
    content = b"To: Bob <bob@X.test>, carol\nCc: dan@x.test,\n bob@x.test\nBcc: eve@x.test\n\n"
    assert addresses(content) == ["bob@x.test", "carol@me.test", "dan@x.test", "eve@x.test"]
    _, message = build(draft(content))
    assert b"eve@" not in message
    assert b"Cc: dan@x.test,\r\n bob@x.test\r\n" in message


def test_recipients_that_are_named_are_all_and_bcc_stays():
    content = b"To: other@x.test\nBcc: eve@x.test\n\n"
    assert addresses(content, recipients=("bob@x.test", "<bob@x.test>")) == ["bob@x.test"]
    _, message = build(draft(content, recipients=("bob@x.test",)))
    assert b"Bcc: eve@x.test" in message


def test_bcc_only():
    content = b"To: bob@x.test\nBcc: eve@x.test\n\n"
    assert addresses(content, bcc_only=True) == ["eve@x.test"]
    _, message = build(draft(content, bcc_only=True))
    assert b"Bcc" not in message


def test_dsn_wishes_travel_with_the_envelope():
    envelope, _ = build(
        draft(b"\n", recipients=("bob",), notify="SUCCESS,DELAY", ret="HDRS", envid="e1")
    )
    assert envelope.recipients[0].notify == "SUCCESS,DELAY"
    assert (envelope.ret, envelope.envid) == ("HDRS", "e1")


def test_a_null_sender_stays_null():
    envelope, _ = build(draft(b"\n", recipients=("bob",), reverse_path=""))
    assert envelope.reverse_path == ""


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"just text\nmore\n", b"just text\r\nmore\r\n"),
        (b"\nSubject: in the body\n", b"Subject: in the body\r\n"),
        (b"Subject: x\nno header\n", b"no header\r\n"),
        (b"Subject: x\r\n\r\na\rb\r\n", b"a\r\nb\r\n"),
        (b"From ann Fri Jan  2\nSubject: x\n\n.\n..\n", b".\r\n..\r\n"),
        (b"Subject: x", b""),
        (b"", b""),
    ],
)
def test_where_the_body_begins(content, body):
    _, message = build(draft(content, recipients=("bob",)))
    assert message.partition(b"\r\n\r\n")[2] == body


def test_a_return_path_is_not_ours_to_keep():
    _, message = build(draft(b"Return-Path: <x@y.test>\n\n", recipients=("bob",)))
    assert message.startswith(b"Old-Return-Path: <x@y.test>\r\n")


@pytest.mark.parametrize(
    ("content", "fields", "utf8"),
    [
        (b"Subject: x\n\n\xc3\xa4\n", {}, False),
        (b"Subject: \xc3\xa4\n\n", {}, True),
        (b"\n", {"recipients": ("b\u00f6b@x.test",)}, True),
        (b"\n", {"reverse_path": "b\u00f6b@x.test"}, True),
        (b"\n", {"author_name": "B\u00f6b"}, False),
    ],
)
def test_smtputf8_is_asked_for_when_header_or_envelope_need_it(content, fields, utf8):
    envelope, _ = build(draft(content, **{"recipients": ("bob",), **fields}))
    assert envelope.smtputf8 is utf8


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Ann Lee", b"From: Ann Lee <ann@me.test>"),
        ('Ann "L", Lee', rb'From: "Ann \"L\", Lee" <ann@me.test>'),
        ("Ann\r\nBcc: eve@x.test", b'From: "AnnBcc: eve@x.test" <ann@me.test>'),
    ],
)
def test_a_full_name_cannot_forge_a_header(name, header):
    _, message = build(draft(b"\n", recipients=("bob",), author_name=name))
    assert header in headers(message)


@pytest.mark.parametrize(
    ("content", "recipients", "code"),
    [
        (b"Subject: x\n\n", (), 511),
        (b"To: undisclosed-recipients:;\n\n", (), 511),
        (b"\n", ("a b@x.test",), 553),
        (b"\n", ("bob@",), 553),
        (b"\n", ("bob@x.test\nRCPT",), 553),
        (b"\n", ("\udcff@x.test",), 553),
        (b"\n", ("",), 553),
    ],
)
def test_bad_recipients_are_refused(content, recipients, code):
    with pytest.raises(SubmissionError) as caught:
        build(draft(content, recipients=recipients))
    assert caught.value.reply.code == code
    assert caught.value.reply.encode().isascii()


@given(st.binary(max_size=200))
def test_any_octets_make_a_message_with_clean_line_ends(content):
    _, message = build(draft(content, recipients=("bob",)))
    assert b"\n" not in message.replace(b"\r\n", b"")
    assert b"\r" not in message.replace(b"\r\n", b"")
    fields, _ = split_message(message)
    assert {"from", "date", "message-id"} <= {field.name for field in fields}
