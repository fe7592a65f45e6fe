"""Courier's esmtproutes: what a line means, and what is no line."""

import pytest

from mta.protocol.esmtproutes import BadRoutes, IpVersion, Line, Security, parse, write


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("example.com:relay.example", Line("example.com", "relay.example")),
        ("Example.COM : Relay.Example,2525", Line("example.com", "relay.example", 2525)),
        (".example.com: [192.0.2.1],26", Line(".example.com", "[192.0.2.1]", 26)),
        ("a.test:[IPv6:2001:db8::1]", Line("a.test", "[2001:db8::1]")),
        ("a.test:[2001:db8::1],26", Line("a.test", "[2001:db8::1]", 26)),
        (":smart.example", Line("*", "smart.example")),
        ("*:smart.example", Line("*", "smart.example")),
        ("direct.example:", Line("direct.example", "")),
        (
            ":smart.example,587/SECURITY=REQUIRED",
            Line("*", "smart.example", 587, Security.REQUIRED),
        ),
        ("a.test:r.test/security=starttls", Line("a.test", "r.test", 25, Security.STARTTLS)),
        ("a.test:r.test,465/SECURITY=SMTPS", Line("a.test", "r.test", 465, Security.SMTPS)),
        ("a.test:r.test/SECURITY=SMTPS", Line("a.test", "r.test", 465, Security.SMTPS)),
        ("a.test:/SECURITY=REQUIRED", Line("a.test", "", 25, Security.REQUIRED)),
        (
            "a.test:r.test/SECURITY=NONE/IPV4ONLY",
            Line("a.test", "r.test", 25, Security.NONE, IpVersion.ONLY_4),
        ),
        ("a.test: r.test /IPV6ONLY", Line("a.test", "r.test", ip_version=IpVersion.ONLY_6)),
    ],
)
def test_a_line(text, line):
    assert parse(text) == [line]
    assert parse(write([line])) == [line]


def test_comments_and_empty_lines_say_nothing_and_the_first_line_counts():
    text = "# routes\r\n\r\na.test:one.test\n  # more\na.test:two.test\n"
    assert parse(text) == [Line("a.test", "one.test")]


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "example.com:relay.example,0",
        "example.com:relay.example,70000",
        "example.com:relay example",
        "example.com:[not an address]",
        "exa mple.com:relay.example",
        "example.com:relay.example/SECURITY=MAYBE",
        "example.com:relay.example/SECURITY=",
        "example.com:relay.example/",
        "example.com:relay.example/IPV4ONLY=1",
        "example.com:/SECURITY=SMTPS",
        "\0:\0",
    ],
)
def test_what_is_no_line_is_said_with_its_number(text):
    with pytest.raises(BadRoutes, match="line 2: "):
        parse(f"a.test:b.test\n{text}")


def test_every_bad_line_is_told_at_once():
    with pytest.raises(BadRoutes, match="line 1: .*line 3: "):
        parse("one\n\nthree\n")


def test_the_first_line_that_matches_is_the_most_specific_one():
    lines = [
        Line("*", "smart.test"),
        Line(".test", "r1.test"),
        Line(".deep.a.test", "r2.test"),
        Line("a.test", "r3.test"),
    ]
    assert [line.domain for line in parse(write(lines))] == ["a.test", ".deep.a.test", ".test", "*"]
