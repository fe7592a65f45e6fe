"""Nobody may see a second message in ours, however a peer reads line ends."""

import email
import re

import pytest

from mta.protocol.wire_content import CHUNK
from mta.transports.base import Result
from tests.support.sink import ALL_EXTENSIONS, Sink
from tests.transports.esmtp_delivery import Delivery, message

ENDINGS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n",
    "CRLF.NUL.CRLF": b"\r\n\x00.\r\n",
    "CRLF.CRLF": b"\r\n.\r\n",
}


both_peers = pytest.mark.parametrize("lenient", [False, True], ids=["strict peer", "lenient peer"])
all_endings = pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
BODY_FIELDS = (
    b"MIME-Version: 1.0\r\nContent-Type: application/x-thing\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
)


def evil(ending: bytes) -> bytes:
    """What ends the data, if `ending` does, and goes on with a message of its own."""
    return (
        ending + b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.org>\r\n"
        b"DATA\r\nsecond" + ending
    )


def assert_one_clean_message(sink: Sink, delivery: Delivery) -> None:
    """It is the only one, and nothing in it could have been read in another way."""
    assert delivery.results == [Result.SENT]
    (taken,) = sink.messages
    assert taken.recipients == ["ann@example.org"]
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", taken.raw) is None
    assert taken.raw.split(b"\r\n").count(b".") == 1


@both_peers
@all_endings
def test_no_ending_smuggles_a_second_message(ending: bytes, lenient: bool) -> None:
    content = b"Subject: one\r\n\r\nfirst" + evil(ending)
    with Sink(lenient=lenient) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert_one_clean_message(sink, delivery)


@both_peers
@all_endings
def test_no_ending_gets_through_on_the_seam_of_two_writes(ending: bytes, lenient: bool) -> None:
    line = b"x" * 62 + b"\r\n"
    with Sink(lenient=lenient) as sink:
        for cut in range(len(ending) + 1):
            header = b"Subject: one\r\nX: %b\r\n\r\n" % (b"y" * (64 - 21 - cut))
            padding = line * ((CHUNK - len(header)) // len(line))
            content = header + padding + b"z" * (CHUNK - len(header) - len(padding) - cut)
            delivery = Delivery(
                sink.nexthop, message(1, "ann@example.org"), content=content + evil(ending)
            )
            assert_one_clean_message(sink, delivery)
            sink.messages.clear()


@both_peers
@all_endings
def test_no_ending_hides_in_an_encoded_part(ending: bytes, lenient: bool) -> None:
    content = BODY_FIELDS + b"QUJD" + evil(ending)
    with Sink(lenient=lenient) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert_one_clean_message(sink, delivery)


@pytest.mark.parametrize(
    ("content", "raw"),
    [
        (b"", b".\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b".\r\n.", b"..\r\n..\r\n.\r\n"),
    ],
)
def test_small_contents(content: bytes, raw: bytes) -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert sink.messages[0].raw == raw


def test_a_large_message_with_dots_everywhere_arrives_whole() -> None:
    content = b"".join(b".%d\r\n" % number for number in range(400_000))
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert sink.messages[0].content == content


LONG = b"words and words " * 100


def sent_as(content: bytes, *, seven_bit_peer: bool = False) -> bytes:
    """The message that arrives."""
    extensions = ("PIPELINING",) if seven_bit_peer else ALL_EXTENSIONS
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert delivery.results == [Result.SENT]
    return sink.messages[0].content


@pytest.mark.parametrize("seven_bit_peer", [False, True])
def test_a_line_too_long_is_encoded(seven_bit_peer: bool) -> None:
    arrived = sent_as(b"Subject: x\r\n\r\n" + LONG + b"\r\n", seven_bit_peer=seven_bit_peer)
    read = email.message_from_bytes(arrived)
    assert read["Content-Transfer-Encoding"] == "quoted-printable"
    assert read.get_payload(decode=True) == LONG + b"\r\n"
    assert max(map(len, arrived.split(b"\r\n"))) <= 998


def test_a_long_line_under_a_signature_is_left_alone() -> None:
    content = b"DKIM-Signature: v=1; b=x\r\nSubject: x\r\n\r\n" + LONG + b"\r\n"
    assert sent_as(content) == content
