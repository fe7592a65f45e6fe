"""The Sender Rewriting Scheme."""

import pytest

from mta.protocol.srs import MAX_AGE, SrsError, forward, is_srs, reverse

SECRET = b"a secret of this installation"
DAY = 20_000
VECTOR = "SRS0=DHJCHL=RA=a.example=ann@b.example"
VECTOR_1 = "SRS1=POWPSU=b.example==DHJCHL=RA=a.example=ann@c.example"
VECTOR_2 = "SRS1=656IK7=b.example==DHJCHL=RA=a.example=ann@d.example"


def test_vectors():
    """Addresses that are in other people's queues must find back after an upgrade."""
    assert forward("ann@a.example", "b.example", SECRET, DAY) == VECTOR
    twice = forward(VECTOR, "c.example", b"another", DAY)
    assert twice == VECTOR_1
    assert forward(twice, "d.example", b"third", DAY) == VECTOR_2


@pytest.mark.parametrize(
    "sender",
    [
        "ann@a.example",
        "Ann.O'Neil+x@a.example",
        "a=b=c@a.example",
        "SRS@a.example",
        "srs0x@a.example",
        "two words@a.example",
        "jürgen@a.example",
        'q"uo\\te@a.example',
        "ann@[192.0.2.1]",
    ],
)
def test_there_and_back(sender):
    address = forward(sender, "b.example", SECRET, DAY)
    assert address.startswith("SRS0=")
    assert address.endswith("@b.example")
    assert is_srs(address)
    assert reverse(address, SECRET, DAY) == sender


def test_bounces_of_what_was_forwarded_often_go_to_the_first_who_forwarded():
    first = forward("ann@a.example", "b.example", b"b", DAY)
    second = forward(first, "c.example", b"c", DAY)
    third = forward(second, "d.example", b"d", DAY)
    assert reverse(third, b"d", DAY) == first
    assert reverse(second, b"c", DAY) == first
    assert reverse(first, b"b", DAY) == "ann@a.example"
    assert len(third) == len(second)


@pytest.mark.parametrize("separator", "=+-")
def test_other_hosts_separate_as_they_like(separator):
    first = f"SRS0{separator}abcd=ef=a.example=ann@b.example"
    assert reverse(forward(first, "c.example", SECRET, DAY), SECRET, DAY) == first


@pytest.mark.parametrize("change", [str.lower, str.upper, str.swapcase])
def test_hosts_that_change_the_case_do_no_harm(change):
    local, domain = forward("Ann@a.example", "b.example", SECRET, DAY).split("@")
    assert reverse(f"{change(local)}@{domain}", SECRET, DAY).lower() == "ann@a.example"
    local, domain = forward(f"{local}@{domain}", "c.example", SECRET, DAY).split("@")
    assert reverse(f"{change(local)}@{domain}", SECRET, DAY).lower().startswith("srs0=")


@pytest.mark.parametrize("age", [-1, 0, 1, MAX_AGE])
def test_an_address_is_good_for_some_weeks(age):
    address = forward("ann@a.example", "b.example", SECRET, DAY)
    assert reverse(address, SECRET, DAY + age) == "ann@a.example"


@pytest.mark.parametrize("age", [-2, MAX_AGE + 1, 500])
def test_and_then_no_longer(age):
    address = forward("ann@a.example", "b.example", SECRET, DAY)
    with pytest.raises(SrsError, match="expired"):
        reverse(address, SECRET, DAY + age)


def test_days_go_round():
    for day in (1023, 1024, 1025, 20479, 20480):
        address = forward("ann@a.example", "b.example", SECRET, day)
        assert reverse(address, SECRET, day + 3) == "ann@a.example"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ann", "bob"),
        ("a.example", "evil.example"),
        ("SRS0=", "SRS0=A"),
        ("=RA=", "=AB="),
    ],
)
def test_a_changed_address_is_not_ours(old, new):
    address = VECTOR.replace(old, new, 1)
    assert address != VECTOR
    with pytest.raises(SrsError, match="not one that we made"):
        reverse(address, SECRET, DAY)


def test_another_secret_is_another_installation():
    with pytest.raises(SrsError, match="not one that we made"):
        reverse(VECTOR, b"other", DAY)
    again = forward(VECTOR, "c.example", SECRET, DAY)
    with pytest.raises(SrsError, match="not one that we made"):
        reverse(again, b"other", DAY)


@pytest.mark.parametrize(
    "local",
    ["SRS0=", "SRS0=a", "SRS0=a=b=c=d", "SRS0=a=bc==d", "SRS1=a=b", "SRS1=a=b=c", "SRS2=a=b=c=d"],
)
def test_what_is_no_return_path(local):
    with pytest.raises(SrsError, match="malformed"):
        reverse(f"{local}@b.example", SECRET, DAY)


@pytest.mark.parametrize("local", ["SRS1=aaaaaa=b==", "SRS1=====", "SRS0=\u00fc=\u00fc\u00fc=x=y"])
def test_garbage_is_refused(local):
    with pytest.raises(SrsError):
        reverse(f"{local}@b.example", SECRET, DAY)


def test_what_would_be_too_long_stays_as_it_is():
    sender = f"bounces-{'x' * 50}@long.example"
    assert forward(sender, "b.example", SECRET, DAY) == sender


@pytest.mark.parametrize(
    "address", ["ann@a.example", "srs@a.example", "SRS0@a.example", "srs0x=y@a"]
)
def test_other_addresses(address):
    assert not is_srs(address)
