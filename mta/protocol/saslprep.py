"""SASLprep (RFC 4013): user names and passwords that look the same become the same octets.

A profile of stringprep (RFC 3454), which is bound to Unicode 3.2 for ever.
"""

import stringprep
from unicodedata import ucd_3_2_0

# RFC 4013 2.3.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class SaslprepError(ValueError):
    """The text holds what a user name or password must not hold; the message says what."""


def saslprep(text: str, *, allow_unassigned: bool = False) -> str:
    """The text as it is to be compared or hashed. Raises SaslprepError.

    `allow_unassigned` takes characters younger than Unicode 3.2 as they are, which a "query"
    may hold and a "stored string" may not (RFC 3454 7).
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(_map(char) for char in text)
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    letters = set(prepared)
    if any(prohibited(char) for char in letters for prohibited in _PROHIBITED):
        raise SaslprepError("the text holds a control or another prohibited character")
    if not allow_unassigned and any(map(stringprep.in_table_a1, letters)):
        raise SaslprepError("the text holds a character unknown to Unicode 3.2")
    _check_directions(prepared, letters)
    return prepared


def _map(char: str) -> str:
    """RFC 4013 2.1."""
    if stringprep.in_table_c12(char):
        return " "
    return "" if stringprep.in_table_b1(char) else char


def _check_directions(text: str, letters: set[str]) -> None:
    """RFC 3454 6: text from right to left holds nothing else, and begins and ends with it."""
    if not any(map(stringprep.in_table_d1, letters)):
        return
    if any(map(stringprep.in_table_d2, letters)):
        raise SaslprepError("the text mixes directions of writing")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise SaslprepError("text from right to left must begin and end with such a letter")
