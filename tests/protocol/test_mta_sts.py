"""MTA-STS records and policies, good, bad and hostile (RFC 8461)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.mta_sts import MAX_AGE, InvalidPolicy, Mode, Policy, parse_policy, record_id

GOOD = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.org\r\nmx: *.example.net\r\n"
    b"max_age: 86400\r\n"
)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=a"], "a"),
        (["v=spf1 -all", "v=STSv1; id=1; new=thing"], "1"),
        ([], None),
        (["v=STSv1; id=1", "v=STSv1; id=1"], None),
        (["v=STSv1"], None),
        (["v=STSv1; id="], None),
        (["v=STSv1; id=" + "1" * 33], None),
        (["v=STSv1; id=a-b"], None),
        (["v=STSv2; id=1"], None),
        (["v=STSv1x; id=1"], None),
        (["id=1; v=STSv1"], None),
        (["v=STSv1; " + "x" * 100_000], None),
    ],
)
def test_the_record(texts: list[str], expected: str | None) -> None:
    assert record_id(texts) == expected


def test_a_policy() -> None:
    policy = parse_policy(GOOD)
    assert (policy.mode, policy.max_age) == (Mode.ENFORCE, 86400)
    assert policy == parse_policy(GOOD.replace(b"\r\n", b"\n"))
    assert policy == parse_policy(GOOD.replace(b": ", b":").strip())


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mail.example.org", True),
        ("MAIL.example.org.", True),
        ("a.mail.example.org", False),
        ("a.example.net", True),
        ("a.b.example.net", False),
        ("example.net", False),
        ("", False),
    ],
)
def test_which_hosts_it_allows(host: str, allowed: bool) -> None:
    assert parse_policy(GOOD).allows(host) is allowed


def test_what_is_unknown_or_repeated_does_no_harm() -> None:
    more = GOOD + b"max_age: 1\nmode: none\nx-new_field: \xc3\xa4\n"
    assert parse_policy(more) == parse_policy(GOOD)


def test_an_age_beyond_a_year_is_cut() -> None:
    assert parse_policy(GOOD.replace(b"86400", b"9999999999")).max_age == MAX_AGE


def test_mode_none_needs_no_mx() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 1").mode is Mode.NONE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"<html>not found</html>",
        GOOD.replace(b"STSv1", b"STSv2"),
        GOOD.replace(b"enforce", b"maybe"),
        GOOD.replace(b"mode: enforce\r\n", b""),
        GOOD.replace(b"86400", b"soon"),
        GOOD.replace(b"86400", b"-1"),
        GOOD.replace(b"86400", b"1" * 5000),
        GOOD.replace(b"86400", "٣".encode()),
        GOOD.replace(b"max_age: 86400\r\n", b""),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        GOOD.replace(b"mail.example.org", b"mail..org"),
        GOOD.replace(b"mail.example.org", b"*"),
        GOOD.replace(b"mail.example.org", b"a.*.org"),
        GOOD.replace(b"mail.example.org", b"a" * 300),
        GOOD + b"mx: a.example\n" * 1000,
        GOOD + b"mx:" + b" " * 60_000 + b"x x\n",
        GOOD + b"#" * 70_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_no_policy(body: bytes) -> None:
    with pytest.raises(InvalidPolicy):
        parse_policy(body)


LINES = st.sampled_from([*GOOD.split(b"\r\n"), b"mx: ", b":", b"mode:none", b"max_age:\xc2\xb2"])


@given(st.binary(max_size=200) | st.lists(LINES | st.binary(max_size=20)).map(b"\n".join))
def test_whatever_comes_is_a_policy_or_is_not(body: bytes) -> None:
    try:
        policy = parse_policy(body)
    except InvalidPolicy:
        return
    assert isinstance(policy, Policy)
    assert 0 <= policy.max_age <= MAX_AGE
    assert policy.mx or policy.mode is Mode.NONE


@given(st.lists(st.text(max_size=40) | st.text("v=STS1;id \t", max_size=20).map("v=STSv1".__add__)))
def test_whatever_is_in_the_dns_has_an_id_or_none(texts: list[str]) -> None:
    found = record_id(texts)
    assert found is None or (found.isascii() and found.isalnum())
