"""Relational tests (RFC 5231) and i;ascii-numeric (RFC 4790, section 9.1)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, holds

CONTENT = b"X-Spam: 12 points\r\nX-None: abc\r\nTo: a@x.test, b@x.test\r\nCc: c@x.test\r\n\r\n"
NUMERIC = ':comparator "i;ascii-numeric"'


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (f'header :value "gt" {NUMERIC} "x-spam" "9"', True),  # 4.1
        (f'header :value "gt" {NUMERIC} "x-spam" "12"', False),
        (f'header :value "ge" {NUMERIC} "x-spam" "0012"', True),
        (f'header :value "lt" {NUMERIC} "x-spam" "9"', False),
        (f'header :value "le" {NUMERIC} "x-spam" "12"', True),
        (f'header :value "eq" {NUMERIC} "x-spam" "12"', True),
        (f'header :value "ne" {NUMERIC} "x-spam" "12"', False),
        (f'header :value "GT" {NUMERIC} "x-spam" "9"', True),
        ('header :value "gt" "x-spam" "9"', False),  # as text
        (f'header {NUMERIC} "x-spam" "12"', True),  # what follows the digits does not count
        (f'header :value "gt" {NUMERIC} "x-none" "99999999999999999999"', True),  # infinity
        (f'header {NUMERIC} "x-none" "def"', True),
        (f'header :value "gt" {NUMERIC} "x-absent" "1"', False),  # 4.1, nothing to compare
        (f'address :count "gt" {NUMERIC} ["to", "cc"] "2"', True),  # 4.2
        (f'address :count "eq" {NUMERIC} "to" "2"', True),
        ('header :count "eq" "x-absent" "0"', True),
        ('header :count "ge" ["x-spam", "x-none"] "10"', False),  # counted, not spelled
    ],
)
def test_relations(test, expected):
    assert holds(test, CONTENT) is expected


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('if header :value "xx" "a" "b" { }', "one of gt, ge"),
        (f'if header :contains {NUMERIC} "a" "b" {{ }}', "cannot compare by"),
        ('if header :count "a" "b" { }', "wrong arguments"),
        ('if header :comparator "i;unknown" "a" "b" { }', "comparator 'i;unknown' is not known"),
    ],
)
def test_errors(script, said):
    with pytest.raises(SieveError, match=said):
        compile_script(REQUIRE_ALL + script)


def test_they_must_be_required():
    for test in ('header :value "gt" "a" "b"', f'header {NUMERIC} "a" "b"'):
        with pytest.raises(SieveError, match="needs require"):
            compile_script(f"if {test} {{ }}")


def test_a_million_digits_are_compared_at_once():
    content = b"X-Spam: " + b"9" * 60_000 + b"\r\n\r\n"
    assert holds(f'header :value "gt" {NUMERIC} "x-spam" "1{"0" * 5000}"', content)
