"""Instruction files as their owners write them (spec 3.8)."""

import pytest

from mta.protocol.instructions import Instruction, InstructionError, Kind, parse

DOMAIN = "example.com"


def meaning(text: str) -> list[tuple[str, str | tuple[str, ...]]]:
    return [(each.kind.value, each.text or each.addresses) for each in parse(text, DOMAIN)]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "   \r\n# x"])
def test_nothing_to_do(text):
    assert parse(text, DOMAIN) == ()


@pytest.mark.parametrize(
    ("line", "path", "is_directory"),
    [
        ("./Maildir", "./Maildir", False),
        ("./Maildir/", "./Maildir", True),
        ("./Mailbox  ", "./Mailbox", False),
        ("/var/mail/ann\r", "/var/mail/ann", False),
        ("/", "/", False),
    ],
)
def test_a_mailbox(line, path, is_directory):
    assert parse(line, DOMAIN) == (Instruction(Kind.MAILBOX, 1, path, is_directory=is_directory),)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("|cat", ("command", "cat")),
        ("| \t cat >x #y", ("command", "cat >x #y")),
        ("|| dotforward", ("dynamic", "dotforward")),
        ("||| odd", ("dynamic", "| odd")),
        ("| one \\\n two", ("command", "one  two")),
        ("| last \\", ("command", "last")),
    ],
)
def test_a_command(line, expected):
    assert meaning(line) == [expected]


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ("&bob@example.org", ("bob@example.org",)),
        ("!bob", ("bob@example.com",)),
        ("bob@example.org, ann", ("bob@example.org", "ann@example.com")),
        ("bob ann", ("bob@example.com", "ann@example.com")),
        ("&bob &ann", ("bob@example.com", "ann@example.com")),
        ("Bob Bo <bob@example.org>", ("bob@example.org",)),
        ("bob@example.org (at work)", ("bob@example.org",)),
        ("bob@example.org,\\\nann", ("bob@example.org", "ann@example.com")),
        ('"b c"@example.org', ("b c@example.org",)),
    ],
)
def test_addresses_to_forward_to(line, addresses):
    assert meaning(line) == [("forward", addresses)]


def test_lines_keep_their_order_and_number():
    instructions = parse("# first\n./Maildir\n|a \\\nb\n\nbob\n", DOMAIN)
    assert [(each.line, each.kind) for each in instructions] == [
        (2, Kind.MAILBOX),
        (3, Kind.COMMAND),
        (6, Kind.FORWARD),
    ]


@pytest.mark.parametrize(
    "line", ["|", "||  ", "&", "bob@@example.org", "bob@exa mple..com", ":include:/etc/x", "a\0b"]
)
def test_what_is_no_instruction(line):
    with pytest.raises(InstructionError):
        parse(f"./Maildir\n{line}", DOMAIN)


def test_too_much():
    with pytest.raises(InstructionError, match="more than"):
        parse("#" * 100_000, DOMAIN)
