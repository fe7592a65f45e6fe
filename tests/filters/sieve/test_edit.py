"""addheader and deleteheader (RFC 5293)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, failure, result

CONTENT = (
    b"Received: by x\r\nX-Tag: one\r\nSubject: Hi\r\nX-Tag: two\r\n folded\r\n"
    b"X-Tag: three\r\nReturn-Path: <a@b.test>\r\n\r\nbody\r\n"
)


def edited(script):
    found = result(script, CONTENT)
    assert found.error == ""
    return found.content


def test_a_script_that_changes_nothing_leaves_the_message():
    assert edited("keep;") is None
    assert edited('deleteheader "x-absent";') is None


def test_addheader():
    assert edited('addheader "X-New" "v";') == b"X-New: v\r\n" + CONTENT  # 4
    at_the_end = edited('addheader :last "X-New" "v";')
    assert at_the_end == CONTENT.replace(b"\r\n\r\nbody", b"\r\nX-New: v\r\n\r\nbody")


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ('"x-tag"', []),  # 5
        ('"X-Tag" "one"', ["two folded", "three"]),
        ('"X-Tag" ["one", "three"]', ["two folded"]),
        (':contains "X-Tag" "o"', ["three"]),
        (':matches "X-Tag" "t*"', ["one"]),
        (':regex "X-Tag" "^t"', ["one"]),
        (':index 1 "X-Tag"', ["two folded", "three"]),
        (':index 1 :last "X-Tag"', ["one", "two folded"]),
        (':index 2 :contains "X-Tag" "one"', ["one", "two folded", "three"]),
        (':index 9 "X-Tag"', ["one", "two folded", "three"]),
    ],
)
def test_deleteheader(arguments, left):
    tests = "".join(
        f'if header :index {n} "x-tag" "{v}" {{ fileinto "{n}"; }}' for n, v in enumerate(left, 1)
    )
    count = f'if not header :count "eq" "x-tag" "{len(left)}" {{ error "count"; }}'
    found = done(f"deleteheader {arguments}; {count} {tests}", CONTENT)
    assert found == ([f"fileinto {n}" for n, _ in enumerate(left, 1)] or ["keep"])


def test_what_is_left_keeps_its_octets():
    assert edited('deleteheader "X-Tag" "one";') == CONTENT.replace(b"X-Tag: one\r\n", b"")


def test_tests_see_the_edited_message():
    script = 'addheader "X-A" "1"; deleteheader "subject"; '
    assert done(script + 'if allof (exists "x-a", not exists "subject") { discard; }', CONTENT) == [
        "discard"
    ]


@pytest.mark.parametrize("name", ["Received", "auto-submitted", "Return-Path", "Delivered-To"])
def test_protected_fields(name):
    assert edited(f'deleteheader "{name}"; addheader "{name}" "x";') is None  # 6


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a\r\nBcc: x@y.test", b"X-A: a  Bcc: x@y.test\r\n"),
        ("Grüße", b"X-A: =?utf-8?b?R3LDvMOfZQ==?=\r\n"),
        ("", b"X-A: \r\n"),
    ],
)
def test_a_value_stays_in_its_field(value, line):
    assert edited(f'addheader "X-A" "{value}";') == line + CONTENT


def test_a_long_value_is_folded():
    content = edited(f'addheader "X-A" "{"word " * 100}";')
    assert max(map(len, content.split(b"\r\n"))) < 100


def test_bounds():
    assert "more than 100 changes" in failure('addheader "X-A" "1";' * 101, CONTENT)
    with pytest.raises(SieveError, match="no name of a header field"):
        compile_script(REQUIRE_ALL + 'addheader "X A" "1";')
    assert "no name of a header field" in failure('addheader "X${a}:" "1";', CONTENT)
