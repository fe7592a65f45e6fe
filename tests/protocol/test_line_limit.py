"""Lines too long and NULs: encoded where that is faithful, left alone where it is not."""

import email
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.line_limit import MAX_LINE, within_limits

MIME = b"MIME-Version: 1.0\r\n"
LONG = b"ab cd. " * 300


def entity(fields: bytes, body: bytes) -> bytes:
    return MIME + fields + b"\r\n" + body


def text_of(message: bytes) -> bytes:
    payload = email.message_from_bytes(message).get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def longest(message: bytes) -> int:
    return max(map(len, message.split(b"\r\n")))


@pytest.mark.parametrize("length", [0, 1, 997, 998])
def test_lines_within_the_limit_stay(length: int) -> None:
    message = b"A: b\r\n\r\n" + (b"x" * length + b"\r\n") * 3 + b"y" * length
    assert within_limits(message) is message


@pytest.mark.parametrize("ending", [b"", b"\r\n", b"\r\nmore\r\n"])
def test_one_octet_more_is_encoded(ending: bytes) -> None:
    body = b"short\r\n" + b"x" * (MAX_LINE + 1) + ending
    converted = within_limits(b"A: b\r\n\r\n" + body)
    assert longest(converted) <= 76
    assert text_of(converted) == body


def test_a_plain_message_becomes_mime() -> None:
    assert within_limits(b"A: b\r\n\r\n" + LONG).startswith(
        b"A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "encoding"),
    [
        (b"Content-Type: text/html; charset=utf-8\r\n", "quoted-printable"),
        (
            b"Content-Transfer-Encoding: 8bit\r\nContent-Type: text/plain; charset=utf-8\r\n",
            "quoted-printable",
        ),
        (b"Content-Transfer-Encoding: binary\r\n", "base64"),
        (b"Content-Type: application/pdf\r\n", "base64"),
    ],
)
def test_a_part_gets_the_encoding_that_suits_it(fields: bytes, encoding: str) -> None:
    body = LONG + b"\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    converted = within_limits(entity(fields, body))
    assert longest(converted) <= 76
    assert text_of(converted) == body
    assert email.message_from_bytes(converted).get_all("Content-Transfer-Encoding") == [encoding]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Transfer-Encoding: base64\r\n", b"QUJD" * 500),
        (b"Content-Transfer-Encoding: quoted-printable\r\n", b"a=3Db " * 500 + b"\r\nx\r\n"),
    ],
)
def test_an_encoding_on_too_long_lines_is_done_again(fields: bytes, body: bytes) -> None:
    message = entity(fields, body)
    converted = within_limits(message)
    assert longest(converted) <= 76
    assert text_of(converted) == text_of(message)


def test_only_the_part_that_offends_is_touched() -> None:
    parts = [b"\r\nshort =20\r\n", b"\r\n" + LONG, b"Content-Type: text/html\r\n\r\n<p>\r\n"]
    between = b"\r\n--b\r\n"
    body = b"preamble" + between + between.join(parts) + b"\r\n--b--\r\nepilogue"
    converted = within_limits(entity(b"Content-Type: multipart/mixed; boundary=b\r\n", body))
    first, second, third = converted.split(between)[1:]
    assert first == parts[0]
    assert third == parts[2] + b"\r\n--b--\r\nepilogue"
    assert text_of(second) == LONG


def test_an_enclosed_message_is_looked_into() -> None:
    inner = b"Subject: inner\r\n\r\n" + LONG
    converted = within_limits(entity(b"Content-Type: message/rfc822\r\n", inner))
    (enclosed,) = email.message_from_bytes(converted).get_payload()
    assert enclosed.get_payload(decode=True) == LONG
    assert longest(converted) <= 76


UNTOUCHED = {
    "DKIM": b"DKIM-Signature: v=1\r\n\r\n" + LONG,
    "ARC": b"arc-message-signature: i=1\r\n\r\n" + LONG,
    "signed parts": entity(
        b"Content-Type: multipart/signed; boundary=b\r\n", b"\r\n--b\r\n\r\n" + LONG + b"\r\n--b--"
    ),
    "no boundary": entity(b"Content-Type: multipart/mixed\r\n", LONG),
    "8-bit without MIME": b"A: b\r\n\r\n\xff" + LONG,
    "type without MIME": b"Content-Type: text/html\r\n\r\n" + LONG,
    "unknown encoding": entity(b"Content-Transfer-Encoding: x-odd\r\n", LONG),
    "bad base64": entity(b"Content-Transfer-Encoding: base64\r\n", b"QUJDR" * 501),
    "header": b"Subject: " + LONG + b"\r\n\r\nx",
    "report": entity(b"Content-Type: message/delivery-status\r\n", LONG),
    "preamble": entity(b"Content-Type: multipart/mixed; boundary=b\r\n", LONG),
}


@pytest.mark.parametrize("message", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_what_cannot_be_encoded_faithfully_stays(message: bytes) -> None:
    assert within_limits(message) == message


@pytest.mark.parametrize("fields", [b"", b"Content-Type: application/x-thing\r\n"])
def test_nul_is_encoded(fields: bytes) -> None:
    converted = within_limits(entity(fields, b"a\x00b\r\n"))
    assert b"\x00" not in converted
    assert text_of(converted) == b"a\x00b\r\n"


pieces = st.sampled_from(
    [
        b"\x00",
        b"=",
        b"=20",
        b" ",
        b"\t",
        b".",
        b"\r\n",
        b"--b",
        b"\xc3\xbc",
        b"x" * 999,
        b"\r\n--b\r\n",
    ]
)


@given(st.lists(pieces, max_size=12).map(b"".join))
def test_any_text_comes_back(body: bytes) -> None:
    fields = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    converted = within_limits(entity(fields, body))
    assert text_of(converted) == body
    assert longest(converted) <= MAX_LINE
    assert b"\x00" not in converted


@given(st.lists(pieces, max_size=12).map(b"".join))
def test_the_frame_of_a_multipart_never_breaks(body: bytes) -> None:
    message = entity(b"Content-Type: multipart/mixed; boundary=b\r\n", body)
    converted = within_limits(message)
    assert re.findall(rb"\r\n--b[-\r]", converted) == re.findall(rb"\r\n--b[-\r]", message)
