"""The milter protocol packet by packet, as libmilter's mfdef.h numbers it."""

import pytest

from mta.protocol import milter
from mta.protocol.milter import (
    Action,
    AddHeader,
    ChangeHeader,
    Command,
    InsertHeader,
    Quarantine,
    Refusal,
    ReplaceBody,
    Step,
    Terms,
    Verdict,
)
from mta.protocol.reply import Reply

OFFERED = Terms(6, Action.ADD_HEADERS | Action.CHANGE_HEADERS, Step.SKIP | Step.NO_BODY)


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


@pytest.mark.parametrize(
    ("sent", "packet"),
    [
        (milter.packet(Command.QUIT), b"\0\0\0\x01Q"),
        (milter.options(OFFERED), b"\0\0\0\x0dO" + numbers(6, 0x11, 0x410)),
        (milter.connect("a.test", "192.0.2.1"), b"\0\0\0\x15Ca.test\x004\0\x00192.0.2.1\0"),
        (milter.connect("a.test", "2001:db8::1"), b"\0\0\0\x17Ca.test\x006\0\x002001:db8::1\0"),
        (milter.connect("node", ""), b"\0\0\0\x07Cnode\0U"),
        (milter.helo("a.test"), b"\0\0\0\x08Ha.test\0"),
        (milter.mail(""), b"\0\0\0\x04M<>\0"),
        (milter.rcpt("b@b.test"), b"\0\0\0\x0cR<b@b.test>\0"),
        (milter.header(b"To", b" b\n\tc"), b"\0\0\0\x0aLTo\0 b\n\tc\0"),
        (milter.header(b"To", b"a\0b"), b"\0\0\0\x07LTo\0ab\0"),
        (
            milter.macros(Command.MAIL, {"i": "1", "{mail_addr}": "a"}),
            b"\0\0\0\x14DMi\x001\0{mail_addr}\0a\0",
        ),
    ],
)
def test_what_is_sent(sent: bytes, packet: bytes) -> None:
    assert sent == packet


@pytest.mark.parametrize(
    ("packet", "meaning"),
    [
        (b"c", Verdict.CONTINUE),
        (b"a", Verdict.ACCEPT),
        (b"r", Verdict.REJECT),
        (b"t", Verdict.TEMPFAIL),
        (b"d", Verdict.DISCARD),
        (b"p", Verdict.PROGRESS),
        (b"s", Verdict.SKIP),
        (b"y550 5.7.1 No\0", Refusal(Reply(550, "5.7.1", "No"))),
        (b"y451 100%% full\0", Refusal(Reply(451, "", "100% full"))),
        (b"y550\0", Refusal(Reply(550, "", ""))),
        (b"y550-5.7.1 One\r\n550 5.7.1 Two\0", Refusal(Reply(550, "5.7.1", "One\nTwo"))),
        (b"qsmells\0", Quarantine("smells")),
        (b"hX-A\0 b\0", AddHeader(b"X-A", b" b")),
        (b"i\0\0\0\x01X-A\0b\0", InsertHeader(1, b"X-A", b"b")),
        (b"m\0\0\0\x02X-A\0\0", ChangeHeader(2, b"X-A", b"")),
        (b"bany\0thing", ReplaceBody(b"any\0thing")),
    ],
)
def test_what_is_understood(packet: bytes, meaning: milter.Answer) -> None:
    assert milter.understand(packet) == meaning


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        (b"z", "'z' is no answer"),
        (b"\xff\xfe", "is no answer"),
        (b"H", "is no answer"),
        (b"+<a@b.test>\0", "add a recipient, which was not offered"),
        (b"-<a@b.test>\0", "delete a recipient"),
        (b"e<a@b.test>\0", "change the sender"),
        (b"y250 fine\0", "not one of 4xx or 5xx"),
        (b"y550-a\r\n450 b\0", "not one of 4xx or 5xx"),
        (b"y\0", "not one of"),
        (b"y550 no end", "NUL"),
        (b"hX-A\0b", "NUL"),
        (b"hX-A: b\0c\0", "no name of a field"),
        (b"h\0c\0", "no name of a field"),
        (b"i\0\0", "four octets"),
        (b"m\0\0\0\x01X-A", "NUL"),
        (b"q", "NUL"),
    ],
)
def test_what_is_nonsense(packet: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        milter.understand(packet)


class TestOptions:
    def test_what_both_can(self) -> None:
        """A filter may want more than is offered; that is not agreed on."""
        agreed = milter.agree(b"O" + numbers(6, 0x1FF, 0x410), OFFERED, 2)
        assert agreed == OFFERED

    def test_an_old_filter_is_spoken_to_as_it_is_used_to(self) -> None:
        agreed = milter.agree(b"O" + numbers(2, 1, 0), OFFERED, 2)
        assert agreed == Terms(2, Action.ADD_HEADERS, Step(0))

    @pytest.mark.parametrize(
        ("packet", "complaint"),
        [
            (b"c", "options were answered by 'c'"),
            (b"O\0\0", "options in 2 octets"),
            (b"O" + numbers(1, 0, 0), "version 1"),
            (b"O" + numbers(7, 0, 0), "version 7"),
            (b"O" + numbers(3, 0, 0), "version 3"),
        ],
    )
    def test_nonsense(self, packet: bytes, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            milter.agree(packet, OFFERED, 4)


@pytest.mark.parametrize("size", [0, milter.MAX_PACKET + 1, 2**32 - 1])
def test_a_packet_of_such_a_size_is_not_waited_for(size: int) -> None:
    with pytest.raises(ValueError, match="octets is none"):
        milter.size_of(numbers(size))


def test_an_enormous_field_fits_into_a_packet() -> None:
    assert len(milter.header(b"x" * 100_000, b"y" * 100_000)) < 65535
