"""Faults of a header section that the filter `headers` is ready for."""

import pytest

from mta.filters.header_faults import Limits, faults

# Mon, 05 Jan 2026 12:00:00 +0000
NOW = 1767614400.0


def found(header, **limits):
    content = "\r\n".join([*header, "", "body", ""]).encode()
    return list(faults(content, Limits(**limits), NOW))


@pytest.mark.parametrize(
    ("date", "is_far"),
    [
        ("Mon, 05 Jan 2026 12:00:00 +0000", False),
        ("Thu, 08 Jan 2026 12:00:00 +0000", False),
        ("Thu, 08 Jan 2026 12:00:01 +0000", True),
        ("Fri, 02 Jan 2026 11:59:59 +0000", True),
        ("Thu, 08 Jan 2026 14:00:00 +0200", False),
        ("Mon, 05 Jan 2026 12:00:00 -0000", False),
        ("1 Jan 1970 00:00", True),
        ("yesterday", False),
        ("Mon, 99 Jan 99999999999999999999 12:00:00", False),
        ("", False),
    ],
)
def test_a_date_far_away(date, is_far):
    assert bool(found([f"Date: {date}"], date_hours=72)) == is_far


def test_a_missing_date_is_not_far_away():
    assert found([], date_hours=72) == []


@pytest.mark.parametrize("header", [[], ["From:"], ["Sender: a@b.test"]])
def test_nobody_says_who_it_is_from(header):
    assert found(header, require_from=True) == ["the message does not say who it is from"]
    assert found(header, single_from=True) == []


@pytest.mark.parametrize(
    "header",
    [["From: a@b.test", "From: c@d.test"], ["From: a@b.test, c@d.test"]],
)
def test_several_say_that_it_is_from_them(header):
    assert found(header, single_from=True) == ["the message says that it is from several"]
    assert found(header, require_from=True) == []


def test_a_name_with_commas_is_one_author():
    assert found(['From: "Lovelace, Ada" <a@b.test>'], single_from=True) == []


def test_a_crowd_of_addressees():
    header = ["To: a@b.test, b@b.test", 'Cc: "x, y" <c@b.test>', "Bcc: d@b.test"]
    assert found(header, max_addressees=3) == []
    assert found(header, max_addressees=2) == ["the message is addressed to 3, 2 may be"]
    assert found(["To: " + "(" * 5000 + "a@b.test," * 30], max_addressees=20)
