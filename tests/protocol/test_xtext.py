"""xtext as it stands in ENVID and ORCPT (RFC 3461 4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import xtext


@pytest.mark.parametrize(
    ("clear", "encoded"),
    [
        ("QQ314159", "QQ314159"),
        ("rfc822;a+b=c@example.org", "rfc822;a+2Bb+3Dc@example.org"),
        ("two words", "two+20words"),
        ("jörg", "j+C3+B6rg"),
        ("", ""),
    ],
)
def test_both_ways(clear, encoded):
    assert xtext.encode(clear) == encoded
    assert xtext.decode(encoded) == clear


@given(st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" +=")))
def test_what_is_encoded_comes_back(clear):
    encoded = xtext.encode(clear)
    assert encoded.isascii()
    assert not set(encoded) & set(" =\r\n\t")
    assert xtext.decode(encoded) == clear


def test_lower_case_digits_and_plain_utf8_are_understood():
    assert xtext.decode("a+2bb") == "a+b"
    assert xtext.decode("jörg") == "jörg"


@pytest.mark.parametrize(
    "text",
    [
        "a b",
        "a=b",
        "a\tb",
        "a+",
        "a+4",
        "a+GG",
        "a+0D+0AX-Evil:+20y",
        "nul+00",
        "+FF",
        "+ED+A0+80",
        "\ud800",
    ],
)
def test_bad_xtext_is_refused(text):
    with pytest.raises(xtext.XtextError):
        xtext.decode(text)


@given(st.text())
def test_decoding_gives_printable_text_or_the_error(text):
    try:
        assert xtext.decode(text).isprintable()
    except xtext.XtextError:
        pass
