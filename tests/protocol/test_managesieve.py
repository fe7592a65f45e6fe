"""ManageSieve as octets: what a client may say, what it may not, and how we write."""

import pytest

from mta.protocol.managesieve import (
    MAX_SKIPPED,
    BadCommand,
    Command,
    Hopeless,
    Line,
    Reply,
    Word,
    read_command,
    read_string,
    string,
)

ROOM = 100


def read(octets, reading=None):
    """Give the reader what it wants of these octets; gives what it read and what is left."""
    reading = reading or read_command(ROOM)
    try:
        wanted = next(reading)
        while True:
            if isinstance(wanted, Line):
                sent, _, octets = octets.partition(b"\r\n")
            else:
                sent, octets = octets[: wanted.count], octets[wanted.count :]
                sent = sent if wanted.kept else b""
            wanted = reading.send(sent)
    except StopIteration as done:
        return done.value, octets


@pytest.mark.parametrize(
    ("octets", "command"),
    [
        (b"NOOP\r\n", Command("NOOP", ())),
        (b"nOOp \r\n", Command("NOOP", ())),
        (b'GETSCRIPT "a b"\r\n', Command("GETSCRIPT", ("a b",))),
        (rb'GETSCRIPT "a\"b\\c"' + b"\r\n", Command("GETSCRIPT", ('a"b\\c',))),
        (b'SETACTIVE ""\r\n', Command("SETACTIVE", ("",))),
        (b"GETSCRIPT {3+}\r\nabc\r\n", Command("GETSCRIPT", ("abc",))),
        (b"GETSCRIPT {0+}\r\n\r\n", Command("GETSCRIPT", ("",))),
        (b'HAVESPACE "x" 4711\r\n', Command("HAVESPACE", ("x", 4711))),
        (b'PUTSCRIPT "x" {7+}\r\nkeep;\r\n\r\n', Command("PUTSCRIPT", ("x", "keep;\r\n"))),
        (b"PUTSCRIPT {1+}\r\nx {5+}\r\nkeep;\r\n", Command("PUTSCRIPT", ("x", "keep;"))),
        (b'PUTSCRIPT {1+}\r\nx "keep;"\r\n', Command("PUTSCRIPT", ("x", "keep;"))),
        ('GETSCRIPT "für Ümläute"\r\n'.encode(), Command("GETSCRIPT", ("für Ümläute",))),
        (b'GETSCRIPT "not a literal {9+}"\r\n', Command("GETSCRIPT", ("not a literal {9+}",))),
    ],
)
def test_commands_that_can_be_meant(octets, command):
    assert read(octets + b"LOGOUT\r\n") == (command, b"LOGOUT\r\n")


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b'"NOOP"\r\n',
        b"NO OP\r\n",
        b'NOOP"x"\r\n',
        b"GETSCRIPT abc\r\n",
        b'GETSCRIPT "abc\r\n',
        b'GETSCRIPT "a\\x"\r\n',
        b'GETSCRIPT "a"b"\r\n',
        b'GETSCRIPT "\xff"\r\n',
        b'GETSCRIPT "\0"\r\n',
        b"GETSCRIPT {1+}\r\n\0\r\n",
        b"GETSCRIPT {1+}\r\n\xff\r\n",
        b'GETSCRIPT {1+}\r\nx"y"\r\n',
        b"\xff {7+}\r\nLOGOUT\r\n\r\n",
        b'GETSCRIPT "abc {7+}\r\nLOGOUT\r\n\r\n',
        b"x" * 100 + b"\r\n",
        b'NOOP "1" "2" "3" "4" "5"\r\n',
        b"HAVESPACE " + b"9" * 11 + b"\r\n",
    ],
)
def test_what_is_wrong_is_read_to_its_end(octets):
    reading = read_command(ROOM)
    left = octets + b"NOOP\r\n"
    with pytest.raises(BadCommand) as caught:
        wanted = next(reading)
        while True:
            if isinstance(wanted, Line):
                sent, _, left = left.partition(b"\r\n")
            else:
                sent, left = left[: wanted.count], left[wanted.count :]
            wanted = reading.send(sent)
    assert not isinstance(caught.value, Hopeless)
    assert left == b"NOOP\r\n"


def test_a_literal_that_is_too_long_is_skipped():
    reading = read_command(ROOM)
    next(reading)
    wanted = reading.send(b'PUTSCRIPT "x" {101+}')
    assert (wanted.count, wanted.kept) == (101, False)
    assert isinstance(reading.send(b""), Line)
    with pytest.raises(BadCommand) as caught:
        reading.send(b"")
    assert caught.value.code == "QUOTA/MAXSIZE"


def test_several_literals_share_the_room():
    reading = read_command(ROOM)
    next(reading)
    assert reading.send(b"PUTSCRIPT {60+}").kept
    reading.send(b"x" * 60)
    assert not reading.send(b" {60+}").kept


@pytest.mark.parametrize(
    "line",
    [
        b"GETSCRIPT {3}",
        b"PUTSCRIPT {%d+}" % (MAX_SKIPPED + 1),
        b"PUTSCRIPT {9999999999999999999+}",
    ],
)
def test_where_the_end_cannot_be_waited_for(line):
    reading = read_command(ROOM)
    next(reading)
    with pytest.raises(Hopeless):
        reading.send(line)


def test_literals_without_end():
    reading = read_command(ROOM)
    next(reading)
    wanted = reading.send(b"NOOP {0+}")
    with pytest.raises(Hopeless):
        for _ in range(100):
            wanted = reading.send(b"" if not isinstance(wanted, Line) else b" {0+}")


def test_a_response_is_one_string():
    assert read(b'"AGJvYg=="\r\n', read_string(ROOM)) == ("AGJvYg==", b"")
    assert read(b"{4+}\r\nAGJv\r\n", read_string(ROOM)) == ("AGJv", b"")
    for octets in (b"*\r\n", b'"a" "b"\r\n', b"\r\n", b"7\r\n"):
        with pytest.raises(BadCommand):
            read(octets, read_string(ROOM))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("", b'""'),
        ('say "hi" \\', rb'"say \"hi\" \\"'),
        ("ä", '"ä"'.encode()),
        ("two\r\nlines", b"{10}\r\ntwo\r\nlines"),
        ("x" * 1025, b"{1025}\r\n" + b"x" * 1025),
    ],
)
def test_strings_of_ours(text, octets):
    assert string(text) == octets


def test_replies():
    assert Reply(Word.OK).encode() == b"OK\r\n"
    assert Reply(Word.NO, "no room", "QUOTA").encode() == b'NO (QUOTA) "no room"\r\n'
    assert Reply(Word.OK, data=b'"x"\r\n').encode() == b'"x"\r\nOK\r\n'
    assert Reply(Word.NO, "a\nb").encode() == b"NO {3}\r\na\nb\r\n"
