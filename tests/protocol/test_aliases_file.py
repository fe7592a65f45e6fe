"""The aliases syntax of sendmail and Courier, with what people really write in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.aliases_file import AliasTable, Kind, load, split_members

FILES = {
    "/lists/team": "a@x.test, b@x.test\n# nobody\n\n  c\n",
    "/lists/loop": ":include:/lists/loop",
    "/lists/mixed": "d@x.test, |/bin/prog",
}


def read(path: str) -> str:
    try:
        return FILES[path]
    except KeyError:
        raise FileNotFoundError(2, "No such file", path) from None


def parsed(text: str) -> AliasTable:
    return load(text, "me.test", read)


def entries(text: str) -> dict[str, list[str]]:
    table = parsed(text)
    assert not table.mistakes
    assert not table.unsupported
    return table.entries


def test_names_and_members_without_a_domain_are_ours():
    assert entries("Root: admin, Someone@Else.TEST\n") == {
        "root@me.test": ["admin@me.test", "Someone@else.test"]
    }


def test_comments_blank_lines_and_continuations():
    text = "# head\n\na: b,\n   c,\n# between\n\td\n\n \ne: f\n"
    assert entries(text) == {
        "a@me.test": ["b@me.test", "c@me.test", "d@me.test"],
        "e@me.test": ["f@me.test"],
    }


def test_definitions_add_up_and_targets_come_once():
    assert entries("a: x, y\nA: y, z, x") == {"a@me.test": ["x@me.test", "y@me.test", "z@me.test"]}


@pytest.mark.parametrize(
    ("member", "target"),
    [
        ("Some Body <body@x.test>", "body@x.test"),
        ('"Body, Some" <body@x.test>', "body@x.test"),
        ("body@x.test (Some, Body)", "body@x.test"),
        ('"john doe"@x.test', "john doe@x.test"),
        ('"john, doe"@x.test', "john, doe@x.test"),
        ('"bob"', "bob@me.test"),
        ('"bob@x.test"', "bob@x.test"),
        ("\\bob", "bob@me.test"),
    ],
)
def test_members_are_mail_addresses_in_any_dress(member, target):
    assert entries(f"a: {member}, z") == {"a@me.test": [target, "z@me.test"]}


def test_a_quoted_name_may_hold_a_colon_and_a_blank():
    assert list(entries('"john: doe": x')) == ["john: doe@me.test"]


def test_a_whole_domain():
    assert entries("@Other.TEST: bob@x.test") == {"@other.test": ["bob@x.test"]}


def test_an_empty_right_side_means_no_alias():
    assert entries("postmaster:\nroot: x") == {"root@me.test": ["x@me.test"]}


def test_included_lists_are_read_at_once():
    assert entries("team: :include:/lists/team, d") == {
        "team@me.test": ["a@x.test", "b@x.test", "c@me.test", "d@me.test"]
    }
    assert entries('team: ":include:/lists/team"')["team@me.test"][0] == "a@x.test"


@pytest.mark.parametrize(
    ("member", "target"),
    [
        ("/var/mail/c", "/var/mail/c"),
        ("|/bin/prog", "|/bin/prog"),
        ('"|/bin/prog -x, y"', "|/bin/prog -x, y"),
        (r'"|/bin/prog \"a b\""', '|/bin/prog "a b"'),
        ('|"/bin/prog -x"', '|"/bin/prog -x"'),
    ],
)
def test_files_and_commands(member, target):
    assert entries(f"c: d, {member}, e\n@v.test: account, {member}") == {
        "c@me.test": ["d@me.test", target, "e@me.test"],
        "@v.test": ["account", target],
    }


def test_an_included_list_names_addresses_only():
    table = parsed("a: b\n\nd: :include:/lists/mixed")
    (problem,) = table.unsupported
    assert str(problem) == "line 3: d@me.test: a list that is included names the command |/bin/prog"
    assert table.entries == {"a@me.test": ["b@me.test"], "d@me.test": ["d@x.test"]}
    assert not table.mistakes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no colon here", "NAME: MEMBERS is expected"),
        (": x", "NAME: MEMBERS is expected"),
        ("a: b c", "b c: the local part is malformed"),
        ("a: b@", "b@: the domain is empty"),
        ("a b: c", "a b: the local part is malformed"),
        ("@: c", "@: the domain is empty"),
        ("a: :include:relative", "an absolute path is needed"),
        ("a: :include:/not/there", "cannot be read"),
        ("a: :include:/lists/loop", "too deeply"),
        ('a: "open', "malformed"),
        ("a: b\x00@x.test", "control characters"),
        ("a: |", "a command is expected"),
        ('a: "| "', "a command is expected"),
        ("a: /", "a path is expected"),
        ("a: /bin/x\\", "backslash"),
    ],
)
def test_mistakes_name_their_line(text, reason):
    (problem,) = parsed(f"ok: x\n{text}\n").mistakes
    assert problem.line == 2
    assert reason in str(problem)


def test_a_lonely_continuation_is_a_mistake_or_a_definition_never_a_crash():
    assert parsed("  a: b").entries == {"a@me.test": ["b@me.test"]}


@given(st.text(alphabet='ab@:,"\\()<>|/# \t\n', max_size=60))
def test_any_text_is_read_or_reported(text):
    parsed(text)
    for member in split_members(text):
        assert member.kind in Kind
