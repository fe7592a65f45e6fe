"""Quoted-printable and base64: what went in comes out, and every line is short."""

import email

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.transfer_encoding import encode, quoted_printable


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        (b"", b""),
        (b"plain\r\n", b"plain\r\n"),
        (b"Gr\xc3\xbc\xc3\x9fe = x", b"Gr=C3=BC=C3=9Fe =3D x"),
        (b"blank \r\ntab\t\r\n", b"blank=20\r\ntab=09\r\n"),
        (b"a\nb\rc\x00", b"a=0Ab=0Dc=00"),
        (b"x" * 76, b"x" * 76),
        (b"x" * 77, b"x" * 75 + b"=\r\nxx"),
        (b"x" * 73 + b"==" + b"y", b"x" * 73 + b"=\r\n=3D=3Dy"),
    ],
)
def test_quoted_printable(text: bytes, encoded: bytes) -> None:
    assert quoted_printable(text) == encoded


octets = st.one_of(
    st.binary(max_size=400),
    st.lists(st.sampled_from([b"=", b" ", b"\r\n", b"x" * 37, b"\xff", b"\t", b"."])).map(b"".join),
)


@given(octets, st.booleans())
def test_what_goes_in_comes_out(text: bytes, is_text: bool) -> None:
    name, encoded = encode(text, is_text=is_text)
    header = f"Content-Transfer-Encoding: {name}\r\n\r\n".encode()
    assert email.message_from_bytes(header + encoded).get_payload(decode=True) == text
    lines = encoded.split(b"\r\n")
    assert all(len(line) <= 76 and not line.endswith((b" ", b"\t")) for line in lines)
    assert encoded.isascii() and b"\n" not in b"".join(lines)
