"""Subaddresses (RFC 5233)."""

import pytest

from mta.filters.sieve.evaluate import Surroundings
from tests.support.sieve import holds

CONTENT = (
    b"To: ken+sieve@x.test\r\nCc: ken@x.test\r\nX-E: ken+@x.test\r\nX-M: ken-a-b@x.test\r\n\r\n"
)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('address :user "to" "ken"', True),  # 4
        ('address :detail "to" "sieve"', True),
        ('address :user "cc" "ken"', True),
        ('address :detail "cc" ""', False),  # no separator: no detail
        ('address :count "eq" :detail "cc" "0"', True),
        ('address :detail "x-e" ""', True),  # an empty one is one
        ('envelope :detail "to" "lists"', True),
        ('envelope :user :contains "to" "bob"', True),
    ],
)
def test_parts(test, expected):
    assert holds(test, CONTENT) is expected


def test_other_separators():
    surroundings = Surroundings(separators="-+")
    assert holds('address :detail "x-m" "a-b"', CONTENT, surroundings)
    assert holds('address :user "to" "ken"', CONTENT, surroundings)
