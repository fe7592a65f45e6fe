"""Mail addresses: what is taken, in which form, and what is refused."""

import pytest

from mta.protocol import address
from mta.protocol.address import AddressError


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("a@b.example", "a@b.example"),
        ("A.B+c@B.Example", "A.B+c@b.example"),
        ("a@b.example.", "a@b.example"),
        ("a@localhost", "a@localhost"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[ipv6:2001:DB8:0::1]", "a@[IPv6:2001:db8::1]"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("ä@b.example", "ä@b.example"),
        ('"a"@b.example', "a@b.example"),
        ('"a b"@b.example', "a b@b.example"),
        ('"a@c"@b.example', "a@c@b.example"),
        (r'"a\"b"@b.example', 'a"b@b.example'),
        (r'"a\b"@b.example', "ab@b.example"),
        ("|cmd@b.example", "|cmd@b.example"),
        ("$id@b.example", "$id@b.example"),
        ("-oQ/tmp@b.example", "-oQ/tmp@b.example"),
        ("u%v@b.example", "u%v@b.example"),
        ("h!u@b.example", "h!u@b.example"),
        ("'--@b.example", "'--@b.example"),
        ("{{7*7}}@b.example", "{{7*7}}@b.example"),
        (f"{'x' * 64}@b.example", f"{'x' * 64}@b.example"),
        ("a@under_score.example", "a@under_score.example"),
    ],
)
def test_normal_form(text, normal):
    assert address.parse(text) == normal
    # It survives the wire and comes back the same.
    assert address.parse(address.wire(normal)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a",
        "a@",
        "@b.example",
        "a@@b.example",
        "a b@b.example",
        "a@b example",
        ".a@b.example",
        "a.@b.example",
        "a..b@b.example",
        "a@.example",
        "a@b..example",
        "a@-b.example",
        "a@b-.example",
        "a@1.2.3.4",
        "a@[1.2.3.4",
        "a@[1.2.3]",
        "a@[256.1.1.1]",
        "a@[IPv6:zz]",
        "a@[text]",
        "a@b,c.example",
        "a@b.example,c@d.example",
        '"a@b.example',
        'a"b"@c.example',
        '""@b.example',
        '"a"b"@c.example',
        "(comment)a@b.example",
        "a@b.example\0",
        "a\r\nRCPT TO:<x>@b.example",
        "a\x7f@b.example",
        "<a@b.example>",
        "a<script>@b.example",
        f"{'x' * 65}@b.example",
        f"{'ä' * 33}@b.example",
        f"a@{'x' * 64}.example",
        f"a@{'.'.join(['x' * 60] * 5)}",
        "a@" + "x." * 127 + "example",
        "a@xn--\u00fc.example",
        "a@\u2024.example",
        "a@b\u3002",
    ],
)
def test_refused(text):
    with pytest.raises(AddressError) as refused:
        address.parse(text)
    assert str(refused.value)


def test_total_length():
    domain = ".".join(["x" * 60] * 4)
    assert len(address.parse(f"{'a' * 10}@{domain}")) == 254
    with pytest.raises(AddressError):
        address.parse(f"{'a' * 11}@{domain}")


def test_a_local_part_alone_where_that_is_allowed():
    assert address.parse("Postmaster", need_domain=False) == "Postmaster"
    with pytest.raises(AddressError):
        address.parse("no good", need_domain=False)


@pytest.mark.parametrize(
    ("argument", "path", "parameters"),
    [
        ("<a@b.example>", "a@b.example", ""),
        ("<>", "", ""),
        ("<> SIZE=5", "", "SIZE=5"),
        ("<a@b.example>  SIZE=5 BODY=7BIT", "a@b.example", "SIZE=5 BODY=7BIT"),
        ("<@x.example,@y.example:a@b.example>", "a@b.example", ""),
        ('<"a>b"@c.example>', '"a>b"@c.example', ""),
        (r'<"a\"> b"@c.example> X', r'"a\"> b"@c.example', "X"),
    ],
)
def test_paths(argument, path, parameters):
    assert address.parse_path(argument) == (path, parameters)


@pytest.mark.parametrize(
    "argument",
    [
        "a@b.example",
        "<a@b.example",
        "a@b.example>",
        "<<a@b.example>>",
        "<a@b.example>SIZE=5",
        "<@x.example>",
        "<@x.example:>",
        "",
        "<a@b.example> \r\n<c@d.example>"[:13] + "x",
    ],
)
def test_paths_that_are_none(argument):
    with pytest.raises(AddressError):
        address.parse_path(argument)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a@b", ("a", "b")),
        ("a@b@c", ("a@b", "c")),
        ("a", ("a", "")),
        ("", ("", "")),
    ],
)
def test_split(text, parts):
    assert address.split(text) == parts


@pytest.mark.parametrize(
    ("normal", "wire"),
    [
        ("", ""),
        ("a@b.example", "a@b.example"),
        ("a b@c.example", '"a b"@c.example'),
        ('a"\\@c.example', r'"a\"\\"@c.example'),
        (".a@c.example", '".a"@c.example'),
        ("ä@c.example", "ä@c.example"),
    ],
)
def test_wire(normal, wire):
    assert address.wire(normal) == wire
