"""Dates (RFC 5260, sections 4 and 5) and :index (section 6)."""

from datetime import UTC, datetime

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Surroundings
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, holds

CONTENT = (
    b"Received: from a by b; Tue, 3 Mar 2026 00:30:00 +0100\r\n"
    b"Received: from c by d; Mon, 2 Mar 2026 10:00:00 +0000\r\n"
    b"Date: Mon, 2 Mar 2026 23:15:05 -0500\r\nX-When: yesterday\r\n"
    b"To: a@x.test, b@x.test\r\n\r\n"
)
# 2026-03-08, a Sunday.
NOW = Surroundings(at=datetime(2026, 3, 8, 23, 30, tzinfo=UTC).timestamp(), zone=60)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("year", "2026"),  # 4.2
        ("month", "03"),
        ("day", "02"),
        ("date", "2026-03-02"),
        ("julian", "61101"),
        ("hour", "23"),
        ("minute", "15"),
        ("second", "05"),
        ("time", "23:15:05"),
        ("iso8601", "2026-03-02T23:15:05-05:00"),
        ("std11", "Mon, 02 Mar 2026 23:15:05 -0500"),
        ("zone", "-0500"),
        ("weekday", "1"),
    ],
)
def test_parts_of_a_date(part, value):
    assert holds(f'date :originalzone "date" "{part}" "{value}"', CONTENT)
    assert not holds(f'date :originalzone "date" "{part}" "x"', CONTENT)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('date :zone "+0000" "date" "hour" "04"', True),  # 4.1
        ('date "date" "zone" "+0100"', True),  # 4.1, local time by default
        ('date "date" "day" "03"', True),
        ('date "x-when" "year" "2026"', False),  # 4, cannot be read
        ('date :count "eq" "x-when" "year" "0"', True),
        ('date "x-absent" "year" "2026"', False),
        ('date :index 1 "received" "hour" "00"', True),  # 6
        ('date :index 2 :zone "+0000" "received" "hour" "10"', True),
        ('date :last :index 1 :zone "+0000" "received" "hour" "10"', True),
        ('date :index 3 "received" "year" "2026"', False),
        ('date :value "ge" "date" "date" "2026-03-01"', True),  # with RFC 5231
        ('currentdate "date" "2026-03-09"', True),  # 5
        ('currentdate :zone "-0800" "time" "15:30:00"', True),
        ('currentdate "weekday" "1"', True),
        ('currentdate :zone "+0000" "weekday" "0"', True),
        ('currentdate :value "lt" "iso8601" "2026-03-10"', True),
    ],
)
def test_zones_and_now(test, expected):
    assert holds(test, CONTENT, NOW) is expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('header :index 1 :contains "received" "from a"', True),
        ('header :index 2 :contains "received" "from a"', False),
        ('header :last :index 2 :contains "received" "from a"', True),
        ('header :index 9 :contains "received" "from"', False),
        ('address :index 1 "to" "b@x.test"', True),  # it counts fields
        ('address :index 2 "to" "b@x.test"', False),
    ],
)
def test_index(test, expected):
    assert holds(test, CONTENT) is expected


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ('date :zone "CET" "date" "hour" "1"', "no time zone"),
        ('date "date" "century" "1"', "none of year"),
        ('header :index 0 "a" "b"', "counts from 1"),
        ('header :last "a" "b"', 'needs ":index"'),
        ('currentdate :originalzone "hour" "1"', "not known with"),
    ],
)
def test_errors(test, said):
    with pytest.raises(SieveError, match=said):
        compile_script(f"{REQUIRE_ALL}if {test} {{ }}")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"; ; ;",
        b"Mon, 99 Foo 99999 99:99:99 +9999",
        b"1 Jan 0001 00:00 +2359",
        b"1 Jan 9999 23:59 -2359",
    ],
)
def test_no_date_is_too_strange(value):
    content = b"Date: " + value + b"\r\n\r\n"
    for part in ("year", "julian", "iso8601", "std11"):
        assert holds(f'date "date" "{part}" "no"', content) is False
