"""File names and bodies as a mail reader takes them from a message, whatever its sender wrote."""

import pytest

from mta.filters.parts import parts_of


def message(disposition="", content_type="application/octet-stream", body=b"", encoding=""):
    lines = [f"Content-Type: {content_type}"]
    if disposition:
        lines.append(f"Content-Disposition: {disposition}")
    if encoding:
        lines.append(f"Content-Transfer-Encoding: {encoding}")
    header = "\r\n".join(lines).encode("utf-8")
    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        + header
        + b"\r\n\r\n"
        + body
        + b"\r\n--b--\r\n"
    )


@pytest.mark.parametrize(
    ("disposition", "content_type", "name"),
    [
        ('attachment; filename="a.exe"', "text/plain", "a.exe"),
        ("attachment; filename=a.exe", "text/plain", "a.exe"),
        ("attachment; filename=my virus.exe", "text/plain", "my virus.exe"),
        ('attachment; FileName = "a.exe"', "text/plain", "a.exe"),
        ("", 'text/plain; name="a.exe"', "a.exe"),
        ("attachment; filename*=utf-8''%e2%82%ac.exe", "text/plain", "€.exe"),
        ("attachment; filename*=iso-8859-1'en'%A3.exe", "text/plain", "£.exe"),
        ("attachment; filename*0=a.; filename*1=exe", "text/plain", "a.exe"),
        ("attachment; filename*1=exe; filename*0=a.", "text/plain", "a.exe"),
        ("attachment; filename*0*=utf-8''%61.; filename*1*=%65xe", "text/plain", "a.exe"),
        ("attachment; filename*0*=utf-8''%61.; filename*1=exe", "text/plain", "a.exe"),
        ("attachment; filename=a.txt; filename*=utf-8''a.exe", "text/plain", "a.exe"),
        ('attachment; filename="=?utf-8?B?YS5leGU=?="', "text/plain", "a.exe"),
        ("attachment; filename*=no-such-charset''a.exe", "text/plain", "a.exe"),
        ('attachment; filename="C:\\\\temp\\\\a.exe"', "text/plain", "a.exe"),
        ('attachment; filename="../../a.exe"', "text/plain", "a.exe"),
        ('attachment; filename="a.exe. "', "text/plain", "a.exe"),
        ('attachment; filename="a.\\exe"', "text/plain", "a.exe"),
        ('attachment; filename="a.exe', "text/plain", "a.exe"),
        ('attachment;\r\n filename="a\r\n .exe"', "text/plain", "a .exe"),
        ("attachment", "text/plain", ""),
    ],
)
def test_the_name_that_a_file_would_be_saved_under(disposition, content_type, name):
    assert [part.name for part in parts_of(message(disposition, content_type))] == [name]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("base64", b"TVpB"),
        ("BASE64", b"T V-p\r\nB"),
        ("base64", b"TVpBR"),
        ("quoted-printable", b"M=5aA"),
        ("8bit", b"MZA"),
        ("", b"MZA"),
        ("x-unknown", b"MZA"),
    ],
)
def test_the_octets_that_would_be_saved(encoding, body):
    (part,) = parts_of(message(body=body, encoding=encoding))
    assert part.body == b"MZA"


def test_the_parts_of_a_message_within_are_parts():
    inner = message("attachment; filename=a.exe")
    outer = b"Content-Type: message/rfc822\r\n\r\n" + inner
    assert [part.name for part in parts_of(outer)] == ["a.exe"]


def test_text_in_a_charset_that_nobody_knows_is_still_text():
    (part,) = parts_of(message(content_type="text/plain; charset=x-none", body=b"caf\xe9"))
    assert part.text == "café"
