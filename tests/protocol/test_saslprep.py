"""What looks the same becomes the same (RFC 4013)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.saslprep import SaslprepError, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # The examples of RFC 4013 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # A blank is a blank, and a letter is a letter however it was typed.
        ("two\u00a0words", "two words"),
        ("two\u3000words", "two words"),
        ("jo\u0308rg", "j\u00f6rg"),
        ("\uff41\uff42", "ab"),
        ("", ""),
        ("\u05d0\u05d1", "\u05d0\u05d1"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
    ],
)
def test_prepared(text, prepared):
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text",
    [
        "\x07",
        "a\nb",
        "nul\x00",
        "\x7f",
        "\u0085",
        "private\ue000",
        "\ud800",
        "\ufffd",
        "\ufdd0",
        "\u202e",
        "\U000e0041",
        # RFC 4013 3: from right to left, but not at its end; and mixed directions.
        "\u0627\u0031",
        "\u05d0a\u05d1",
    ],
)
def test_refused(text):
    with pytest.raises(SaslprepError):
        saslprep(text, allow_unassigned=True)


def test_a_letter_younger_than_unicode_3_2_is_taken_on_request():
    with pytest.raises(SaslprepError):
        saslprep("\U0001f600")
    assert saslprep("\U0001f600", allow_unassigned=True) == "\U0001f600"


@given(st.text(st.characters(), max_size=20))
def test_any_text_is_prepared_once_and_for_all_or_refused(text):
    try:
        prepared = saslprep(text)
    except SaslprepError:
        return
    assert saslprep(prepared) == prepared
