"""The body test (RFC 5173)."""

import base64

import pytest

from tests.support.sieve import holds, result

MIXED = (
    b"Subject: x\r\nMime-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"preamble\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe =3D\r\n"
    b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"<p>V<b>ia</b>gra &amp; more</p>").replace(b"\n", b"\r\n")
    + b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninside\r\n"
    b"--b\r\nContent-Type: application/x-zip; name=a.zip\r\n\r\nPK octets\r\n--b--\r\nepilogue\r\n"
)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('body :contains "Grüße ="', True),  # 5.3, decoded
        ('body :text :contains "viagra & more"', True),  # 5.3, as its reader sees it
        ('body :contains "PK octets"', False),
        ('body :contains "inside"', True),
        ('body :raw :contains "=FC=DF"', True),  # 5.1
        ('body :raw :contains "Grüße"', False),
        ('body :raw :contains "--b"', True),
        ('body :raw :contains "Subject: x"', False),
        ('body :content "text" :contains "<b>ia</b>"', True),  # 5.2
        ('body :content "text/plain" :contains "<b>"', False),
        ('body :content ["application/x-zip", "image"] :contains "PK"', True),
        ('body :content "application" :contains "PK"', True),
        ('body :content "" :contains "PK"', True),
        ('body :content "multipart" :contains "preamble"', True),
        ('body :content "multipart/mixed" :contains "epilogue"', True),
        ('body :content "multipart" :contains "PK"', False),
        ('body :content "message/rfc822" :contains "subject: inner"', True),
        ('body :content "message/rfc822" :contains "inside"', False),
        ('body :content "video" :contains ""', False),
        ('body :matches "*gr*"', True),
        ('body :regex "vi[a-z]+ & m"', True),
        ('body :count "eq" "3"', True),
    ],
)
def test_transforms(test, expected):
    assert holds(test, MIXED) is expected


def test_without_an_empty_line_there_is_no_body():
    for transform in (":raw", ":text", ':content ""'):
        assert not holds(f'body {transform} :contains ""', b"Subject: x\r\n")
    assert holds('body :raw ""', b"Subject: x\r\n\r\n")


def test_match_variables_are_left_alone():
    before = 'if header :matches "subject" "*" { } if body :matches "*" { }'
    assert holds('string "${1}" "x"', MIXED, before=before)


def test_a_message_with_bare_line_ends():
    assert holds('body :contains "PK"', MIXED.replace(b"\r\n", b"\n")) is False
    assert holds('body :content "application" :contains "PK"', MIXED.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"Content-Type: text/plain; charset=idna\r\n\r\nx",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!====",
        b"Content-Type: text/html\r\n\r\n" + b"<" * 100_000 + b"&#" + b"9" * 5000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 5000,
        b"".join(
            b"Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(80)
        ),
        b"Content-Type: message/rfc822\r\n\r\n" * 200,
    ],
)
def test_no_body_is_too_strange(content):
    for transform in (":raw", ":text", ':content ""'):
        found = result(f'if body {transform} :contains "needle" {{ discard; }}', content)
        assert found.error == ""


def test_of_a_large_body_the_beginning_counts():
    early = b"Subject: x\r\n\r\nneedle" + b"x" * (20 << 20)
    late = b"Subject: x\r\n\r\n" + b"x" * (20 << 20) + b"needle"
    assert holds('body :contains "needle"', early)
    assert not holds('body :contains "needle"', late)
