"""The targets of a whole domain."""

import pytest

from mta.protocol.address import AddressError
from mta.protocol.virtual_domain import account, is_pattern, mapped, parse_target


@pytest.mark.parametrize(
    ("target", "address", "owner"),
    [
        ("web", "web-Info@host.example", "web@host.example"),
        ("web!", "webInfo@host.example", ""),
        ("web-*@x.example", "web-Info@x.example", "web@x.example"),
        ("*@x.example", "Info@x.example", ""),
        ("-*@x.example", "-Info@x.example", ""),
        ("a*b@x.example", "aInfob@x.example", ""),
    ],
)
def test_patterns(target, address, owner):
    assert parse_target(target) == target
    assert is_pattern(target)
    assert mapped(target, "Info", "host.example") == address
    assert account(target, "host.example") == owner


def test_an_address_is_the_same_for_all():
    assert not is_pattern("bob@x.example")
    assert mapped("bob@x.example", "info", "host.example") == "bob@x.example"


@pytest.mark.parametrize(
    "target", ["", "!", "!!", "a b", "*", "a*", "**@x.example", "*@", "@x.example", "a@b@c", "a\n"]
)
def test_what_is_no_target(target):
    with pytest.raises(AddressError):
        parse_target(target)
