"""Replies with a verdict for each recipient, as they are written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import exdata
from mta.protocol.exdata import Verdicts
from mta.protocol.reply import Reply

OK = Reply(250, "2.0.0", "queued as X")
NO = Reply(550, "5.7.1", "<bob@example.org>:\nnot from you")
DONE = Reply(250, "2.0.0", "queued as Y")
LATER = Reply(452, "4.2.2", "the mailbox is full")


def as_read(wire: bytes) -> Reply:
    """The reply that a client makes of the octets."""
    lines = wire.decode().removesuffix("\r\n").split("\r\n")
    assert [line[:4] for line in lines] == ["558-"] * (len(lines) - 1) + ["558 "]
    return Reply(558, "", "\n".join(line[4:] for line in lines))


def test_the_format() -> None:
    assert exdata.encode([OK, NO, LATER]) == (
        b"558-250 2.0.0 queued as X\r\n"
        b"558-550-5.7.1 <bob@example.org>:\r\n"
        b"558-550 5.7.1 not from you\r\n"
        b"558 452 4.2.2 the mailbox is full\r\n"
    )


@pytest.mark.parametrize("replies", [[OK], [NO], [NO, NO], [OK, NO, LATER]])
def test_what_is_written_can_be_read(replies: list[Reply]) -> None:
    assert exdata.decode(as_read(exdata.encode(replies))) == replies


def test_no_verdict_is_no_reply() -> None:
    with pytest.raises(ValueError, match="no recipient"):
        exdata.encode([])


def test_couriers_vector() -> None:
    reply = Reply(558, "", "250 ok\n550-no\n550 way\n451 later")
    assert exdata.decode(reply) == [
        Reply(250, "", "ok"),
        Reply(550, "", "no\nway"),
        Reply(451, "", "later"),
    ]


def test_couriers_way_to_name_the_recipient_first() -> None:
    reply = Reply(558, "", "250 Ok.\n550-carla:\n550 5.7.1 Carla does not want this")
    assert exdata.decode(reply)[1] == Reply(550, "5.7.1", "carla:\nCarla does not want this")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("250 ok\n550-no", [250, 451, 451]),
        ("250 ok\ngarbage\n250 ok", [250, 451, 451]),
        ("250 ok\n550-no\n551 way\n250 ok", [250, 451, 451]),
        ("250 ok\n354 more?\n250 ok", [250, 451, 451]),
        ("5.7.1 no", [451, 451, 451]),
        ("", [451, 451, 451]),
        ("250\n550\n450", [250, 550, 450]),
        ("250 a\n250 b\n250 c\n550 one too many", [250, 250, 250]),
    ],
)
def test_a_missing_verdict_means_later_and_extra_ones_mean_nothing(
    text: str, codes: list[int]
) -> None:
    assert [reply.code for reply in exdata.for_recipients(Reply(558, "", text), 3)] == codes


@given(st.text(max_size=200), st.integers(1, 5))
def test_whatever_is_in_it_everybody_gets_a_verdict(text: str, count: int) -> None:
    verdicts = exdata.for_recipients(Reply(558, "", text), count)
    assert len(verdicts) == count
    assert {reply.code // 100 for reply in verdicts} <= {2, 4, 5}


def test_prdr_on_the_wire() -> None:
    wire = exdata.encode_prdr([OK, LATER], DONE)
    assert [line[:4] for line in wire.split(b"\r\n")] == [b"353 ", b"250 ", b"452 ", b"250 ", b""]


@pytest.mark.parametrize(
    ("verdict", "final", "holds"),
    [(OK, DONE, DONE), (NO, DONE, NO), (OK, LATER, LATER), (NO, LATER, NO)],
)
def test_a_refusal_stands_and_consent_waits_for_the_last_reply(verdict, final, holds) -> None:
    assert exdata.combine_prdr(verdict, final) is holds


@pytest.mark.parametrize(
    ("extensions", "verdicts"),
    [
        ({"XEXDATA": "", "PRDR": ""}, Verdicts.EXDATA),
        ({"PRDR": ""}, Verdicts.PRDR),
        ({"DSN": ""}, Verdicts.ONE_FOR_ALL),
    ],
)
def test_exdata_goes_before_prdr(extensions, verdicts) -> None:
    assert exdata.offered_by(extensions) is verdicts
