"""Patterns for addresses."""

import pytest

from mta.policy.patterns import find


@pytest.mark.parametrize(
    ("address", "pattern"),
    [
        ("bob@dom.example", "bob@dom.example"),
        ("Bob@dom.example", "bob@dom.example"),
        ("bob@dom.example", "@dom.example"),
        ("bob@sub.dom.example", "@.dom.example"),
        ("bob@a.b.dom.example", "@.dom.example"),
        ("bob@sub.dom.example", "bob@.dom.example"),
        ("bob@[192.0.2.1]", "@[192.0.2.1]"),
    ],
)
def test_fits(address, pattern):
    assert find(address, {pattern}) == pattern


@pytest.mark.parametrize(
    ("address", "pattern"),
    [
        ("ann@dom.example", "bob@dom.example"),
        ("bob@dom.example", "@.dom.example"),
        ("bob@sub.dom.example", "@dom.example"),
        ("bob@notdom.example", "@.dom.example"),
        ("bob@notdom.example", "@dom.example"),
        ("ann@sub.dom.example", "bob@.dom.example"),
        ("bob@dom.example", "*"),
    ],
)
def test_does_not_fit(address, pattern):
    assert find(address, {pattern}) == ""


def test_the_most_particular_pattern_is_named():
    assert find("bob@dom.example", {"@dom.example", "bob@dom.example"}) == "bob@dom.example"
