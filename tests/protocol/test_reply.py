"""Replies on the wire, in the log, and as a peer gave them."""

import pytest

from mta.protocol.reply import Reply, parse_reply


def test_on_the_wire():
    assert Reply(250, "2.1.5", "Ok").encode() == b"250 2.1.5 Ok\r\n"
    assert Reply(354, "", "go").encode() == b"354 go\r\n"
    assert Reply(250, "", "one\ntwo").encode() == b"250-one\r\n250 two\r\n"
    assert Reply(550, "5.7.1", "a\nb").encode() == b"550-5.7.1 a\r\n550 5.7.1 b\r\n"
    assert Reply(250, "", "grün").encode() == "250 grün\r\n".encode()


@pytest.mark.parametrize("text", ["a\r\n250 forged", "a\0b", "a\x1b[2J", "a\x85b", "a\u2028b"])
def test_no_text_ends_its_line(text):
    wire = Reply(550, "5.0.0", text.replace("\n", "")).encode()
    assert wire.count(b"\n") == 1 and wire.count(b"\r") == 1
    assert all(char.isprintable() for char in wire.decode().removesuffix("\r\n"))


def test_lone_surrogates_do_not_break_a_reply():
    assert Reply(550, "", "a\udcffb").encode().startswith(b"550 a")


def test_as_one_line():
    assert str(Reply(550, "5.1.1", "no\n such  user")) == "550 5.1.1 no such user"
    assert str(Reply(354, "", "")) == "354"


@pytest.mark.parametrize(("code", "kind"), [(250, 0), (354, 0), (421, 1), (550, 2)])
def test_kinds(code, kind):
    reply = Reply(code, "", "")
    assert [reply.is_positive, reply.is_transient, reply.is_permanent].index(True) == kind


@pytest.mark.parametrize(
    ("code", "lines", "reply"),
    [
        (250, ["2.0.0 ok"], Reply(250, "2.0.0", "ok")),
        (550, ["5.1.1 a", "5.1.1 b"], Reply(550, "5.1.1", "a\nb")),
        (550, ["5.1.1 a", "b"], Reply(550, "5.1.1", "a\nb")),
        (250, ["ok"], Reply(250, "", "ok")),
        (250, ["5.1.1 contradicts"], Reply(250, "", "5.1.1 contradicts")),
        (450, ["4.7.1"], Reply(450, "4.7.1", "")),
        (450, ["4.7.1234 x"], Reply(450, "", "4.7.1234 x")),
        (250, [], Reply(250, "", "")),
    ],
)
def test_a_peers_reply(code, lines, reply):
    assert parse_reply(code, lines) == reply
