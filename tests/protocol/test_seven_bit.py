"""Conversion of 8-bit messages for peers without 8BITMIME: same meaning, ASCII only."""

import email
import email.policy

import pytest

from mta.protocol.seven_bit import CannotConvert, to_seven_bit

TOP = b"MIME-Version: 1.0\r\n"
UMLAUT = "Grüße\r\n".encode()


def text_of(message: bytes) -> str:
    return email.message_from_bytes(message, policy=email.policy.SMTP).get_content()


def test_an_ascii_message_is_left_alone() -> None:
    message = b"Subject: x\r\n\r\nplain = text \r\n"
    assert to_seven_bit(message) is message


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"content-transfer-encoding:\r\n 8BIT\r\nContent-Type: text/plain; charset=utf-8\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\n",
    ],
    ids=["usual", "folded", "unlabelled"],
)
def test_text_becomes_quoted_printable(header: bytes) -> None:
    body = "Grüße = alles, \r\n.\r\n".encode() + b"x" * 300 + b"\r\n"
    converted = to_seven_bit(TOP + header + b"\r\n" + body)
    assert converted.isascii()
    assert converted.lower().count(b"content-transfer-encoding") == 1
    assert text_of(converted).encode() == body
    assert max(map(len, converted.split(b"\r\n"))) <= 76


def test_what_is_not_text_becomes_base64() -> None:
    data = bytes(range(256)) * 3
    header = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n"
    converted = to_seven_bit(TOP + header + b"\r\n" + data)
    assert converted.isascii()
    assert text_of(converted) == data


def test_only_the_parts_that_need_it_change() -> None:
    plain = b"Content-Type: text/plain\r\nX-Odd:   spaces  \r\n\r\n as it \t is = \r\n"
    message = (
        TOP + b'Content-Type: multipart/mixed;\r\n boundary="=_b"\r\n'
        b"Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n"
        b"--=_b\r\n" + plain + b"\r\n--=_b \r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b"<p>\xc3\xbc</p>\r\n--=_b--\r\nepilogue\r\n"
    )
    converted = to_seven_bit(message)
    expected = message.replace(b"Encoding: 8bit", b"Encoding: 7bit").replace(
        b"charset=utf-8\r\n\r\n<p>\xc3\xbc</p>",
        b"charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        b"X-Mime-Autoconverted: from 8bit to quoted-printable by CourierWeb\r\n\r\n"
        b"<p>=C3=BC</p>",
    )
    assert converted == expected


def test_an_enclosed_message_is_converted_inside() -> None:
    inner = TOP + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + UMLAUT
    message = TOP + b"Content-Type: message/rfc822\r\n\r\n" + inner
    converted = to_seven_bit(message)
    assert converted.startswith(TOP + b"Content-Type: message/rfc822\r\n\r\n" + TOP)
    assert b"Gr=C3=BC=C3=9Fe" in converted


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: no mime\r\n\r\n" + UMLAUT,
        TOP + b"Subject: " + UMLAUT + b"\r\nx\r\n",
        TOP + b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xbc\r\n--b--\r\n",
        TOP + b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n\xc3\xbc\r\n--b--\r\n",
        TOP + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + UMLAUT,
        TOP + b"Content-Type: message/global\r\n\r\n" + UMLAUT,
        (TOP + b"Content-Type: message/rfc822\r\n\r\n") * 30 + b"\r\n" + UMLAUT,
        b"\xff",
        b"\r\n\xff",
    ],
    ids=[
        "no mime",
        "header",
        "signed",
        "no boundary",
        "mislabelled",
        "global",
        "too deep",
        "no header end",
        "no header",
    ],
)
def test_what_cannot_be_converted_faithfully_is_refused(message: bytes) -> None:
    with pytest.raises(CannotConvert):
        to_seven_bit(message)


def test_text_that_no_reader_shows_loses_its_8_bit_characters() -> None:
    top = TOP + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    message = top + b"\xc3\xbc\r\n--b\r\n\r\nx\r\n--b--\r\n\xff\r\n"
    assert to_seven_bit(message) == top + b"??\r\n--b\r\n\r\nx\r\n--b--\r\n?\r\n"


def test_an_enclosed_message_that_is_no_mime_becomes_mime() -> None:
    message = TOP + b"Content-Type: message/rfc822\r\n\r\nSubject: old\r\n\r\n" + UMLAUT
    inner = email.message_from_bytes(to_seven_bit(message)).get_payload(0)
    assert inner["MIME-Version"] == "1.0"
    assert inner.get_payload(decode=True) == UMLAUT


@pytest.mark.parametrize("label", [b"", b"Content-Transfer-Encoding: 7bit\r\n"])
def test_lines_longer_than_smtp_allows_are_broken(label: bytes) -> None:
    body = b"short\r\n" + b"x" * 998 + b"\r\n" + b"y" * 999 + b"\r\n"
    converted = to_seven_bit(TOP + label + b"\r\n" + body)
    assert max(map(len, converted.split(b"\r\n"))) <= 76
    assert b"X-Mime-Autoconverted: from 7bit to quoted-printable by " in converted
    assert email.message_from_bytes(converted).get_payload(decode=True) == body


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Subject: no mime\r\n",
        TOP + b"DKIM-Signature: h=from; b=x\r\n",
        TOP + b"Content-Transfer-Encoding: base64\r\n",
        TOP + b"Content-Type: multipart/mixed\r\n",
    ],
    ids=["no header", "no mime", "signed", "encoded", "no boundary"],
)
def test_long_lines_stay_where_breaking_them_would_harm(header: bytes) -> None:
    message = header + b"\r\n" + b"x" * 1200 + b"\r\n"
    assert to_seven_bit(message) is message


def test_998_characters_are_not_too_many() -> None:
    message = TOP + b"\r\n" + (b"x" * 998 + b"\r\n") * 3
    assert to_seven_bit(message) is message


def test_text_without_a_line_end_is_broken_with_whole_line_ends() -> None:
    label = b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    converted = to_seven_bit(TOP + label + "ü".encode() * 100)
    assert b"\n" not in converted.replace(b"\r\n", b"")
    assert email.message_from_bytes(converted).get_payload(decode=True) == "ü".encode() * 100
