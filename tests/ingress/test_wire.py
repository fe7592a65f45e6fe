"""The line reader and the DATA loop, fed packet by packet."""

import asyncio
from collections.abc import Iterable

import pytest

from mta.ingress.wire import (
    HIGH_WATER,
    BareLineEnd,
    Budget,
    Closed,
    Collected,
    Data,
    LineTooLong,
    Wire,
)

LIMIT = 1_000_000


class Pipe:
    """A wire with something to feed it; counts what it asks of the transport."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget(10 * LIMIT)
        self.paused = False
        self.pauses = 0
        self.wire = Wire(self._pause, self._resume)

    def _pause(self) -> None:
        self.paused = True
        self.pauses += 1

    def _resume(self) -> None:
        self.paused = False

    async def feed(self, packets: Iterable[bytes], *, eof: bool = True) -> None:
        for packet in packets:
            self.wire.feed(packet)
            await asyncio.sleep(0)
        if eof:
            self.wire.feed_eof()


def read_data(packets: Iterable[bytes], limit: int = LIMIT, pipe: Pipe | None = None) -> Data:
    """The message in these packets, as the DATA loop reads it. Raises Closed."""
    pipe = pipe or Pipe()

    async def run() -> Data:
        feeding = asyncio.ensure_future(pipe.feed(packets))
        try:
            return await pipe.wire.data(limit, pipe.budget)
        finally:
            await feeding

    return asyncio.run(run())


def read_lines(packets: Iterable[bytes], limit: int = 100) -> list[object]:
    """Each command line, or the class of what was wrong with it."""
    pipe = Pipe()

    async def run() -> list[object]:
        feeding = asyncio.ensure_future(pipe.feed(packets))
        found: list[object] = []
        while True:
            try:
                found.append(await pipe.wire.line(limit))
            except (LineTooLong, BareLineEnd) as error:
                found.append(type(error))
            except Closed:
                await feeding
                return found

    return asyncio.run(run())


WHOLE = b"Subject: x\r\n\r\n..dot\r\nend\r\n.\r\nNOOP\r\n"


@pytest.mark.parametrize("cut", range(len(WHOLE) + 1))
def test_a_message_cut_in_two_anywhere_is_the_same_message(cut):
    pipe = Pipe()
    data = read_data([WHOLE[:cut], WHOLE[cut:]], pipe=pipe)
    assert data.content == b"Subject: x\r\n\r\n.dot\r\nend\r\n"
    assert asyncio.run(pipe.wire.line(100)) == b"NOOP"


def test_octet_by_octet():
    data = read_data([bytes([octet]) for octet in WHOLE])
    assert data.content == b"Subject: x\r\n\r\n.dot\r\nend\r\n"


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n..\r\n..\r\n.\r\n", b"a\r\n.\r\n.\r\n"),
        (b"a\r\n\r\n.\r\n", b"a\r\n\r\n"),
        (b"a\x00b\r\n.\r\n", b"a\x00b\r\n"),
        (b"\xff\xfe\r\n.\r\n", b"\xff\xfe\r\n"),
    ],
)
def test_dots_are_undone_and_octets_kept(sent, content):
    assert read_data([sent]).content == content


# Endings by which a message could be smuggled past one server into the next.
MALFORMED = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\r\n.\r\r\n",
    b"\r\n\x00.\r\n",
    b"\n\r.\r\n",
]


@pytest.mark.parametrize("ending", MALFORMED)
def test_a_malformed_ending_ends_nothing(ending):
    smuggled = b"MAIL FROM:<evil@example.org>\r\n"
    sent = b"one" + ending + smuggled + b"\r\n.\r\n"
    for cut in range(len(sent)):
        pipe = Pipe()
        data = read_data([sent[:cut], sent[cut:]], pipe=pipe)
        assert data.content is not None and data.content.endswith(smuggled + b"\r\n")
        assert pipe.wire.is_empty


CHUNKED = b"Subject: x\r\n\r\n.\r\n..dot"


@pytest.mark.parametrize("cut", range(len(CHUNKED) + 1))
def test_a_chunk_cut_in_two_anywhere_is_the_same_chunk(cut):
    pipe = Pipe()
    collected = Collected(LIMIT, pipe.budget)

    async def run() -> bytes:
        packets = [CHUNKED[:cut], CHUNKED[cut:] + b"NOOP\r\n"]
        feeding = asyncio.ensure_future(pipe.feed(packets))
        await pipe.wire.chunk(len(CHUNKED), collected)
        await feeding
        return await pipe.wire.line(100)

    assert asyncio.run(run()) == b"NOOP"
    data = collected.chunked()
    assert (data.content, data.size) == (CHUNKED + b"\r\n", len(CHUNKED))
    assert data.reserved == pipe.budget.used == len(CHUNKED)


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_the_size_limit_counts_the_octets_of_all_chunks(size, fits):
    pipe = Pipe()
    collected = Collected(100, pipe.budget)

    async def run() -> None:
        pipe.wire.feed(b"x" * size + b"NOOP\r\n")
        await pipe.wire.chunk(size // 2, collected)
        await pipe.wire.chunk(size - size // 2, collected)
        assert await pipe.wire.line(100) == b"NOOP"

    asyncio.run(run())
    data = collected.chunked()
    assert (data.size, data.too_big, data.content is not None) == (size, not fits, fits)
    assert pipe.budget.used == data.reserved


def test_not_one_octet_too_many_is_taken():
    pipe = Pipe()
    pipe.wire.feed(b"abcdef")
    assert asyncio.run(pipe.wire.take(4)) == b"abcd"
    pipe.wire.feed_eof()
    with pytest.raises(Closed):
        asyncio.run(pipe.wire.take(3))


def test_a_client_that_hangs_up_has_sent_no_message():
    pipe = Pipe()
    with pytest.raises(Closed):
        read_data([b"Subject: half\r\n\r\n."], pipe=pipe)
    assert pipe.budget.used == 0


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_the_size_limit_counts_what_was_sent(size, fits):
    data = read_data([b"x" * (size - 2) + b"\r\n.\r\n"], limit=100)
    assert data.size == size
    assert data.too_big is not fits
    assert (data.content is not None) is fits


def test_too_big_is_thrown_away_but_read_to_its_true_end():
    pipe = Pipe()
    line = b"MAIL FROM:<tail@example.org>\r\n"
    data = read_data([line * 50 for _ in range(100)] + [b".\r\nQUIT\r\n"], limit=500, pipe=pipe)
    assert (data.content, data.too_big, data.size) == (None, True, len(line) * 5000)
    assert pipe.budget.used == 0
    assert asyncio.run(pipe.wire.line(100)) == b"QUIT"


def test_the_budget_is_shared_and_comes_back():
    budget = Budget(1000)
    first = read_data([b"x" * 600 + b"\r\n.\r\n"], pipe=Pipe(budget))
    assert first.reserved == budget.used > 600

    second = read_data([b"y" * 600 + b"\r\n.\r\n"], pipe=Pipe(budget))
    assert (second.content, second.too_big) == (None, False)
    assert budget.used == first.reserved

    budget.give_back(first.reserved)
    third = read_data([b"z" * 600 + b"\r\n.\r\n"], pipe=Pipe(budget))
    assert third.content == b"z" * 600 + b"\r\n"


def test_an_endless_line_is_read_in_bounded_memory():
    pipe = Pipe()

    async def run() -> None:
        reading = asyncio.ensure_future(pipe.wire.line(2048))
        for _ in range(200):
            pipe.wire.feed(b"x" * 10_000)
            await asyncio.sleep(0)
            assert len(pipe.wire._buffer) <= 20_000
        pipe.wire.feed(b"\r\nNOOP\r\n")
        with pytest.raises(LineTooLong):
            await reading
        assert await pipe.wire.line(2048) == b"NOOP"

    asyncio.run(run())


def test_a_client_that_sends_faster_than_we_work_is_paused():
    pipe = Pipe()
    pipe.wire.feed(b"NOOP\r\n" * (HIGH_WATER // 6 + 1))
    assert pipe.paused

    async def drain() -> None:
        while not pipe.wire.is_empty:
            await pipe.wire.line(100)

    asyncio.run(drain())
    assert not pipe.paused
    assert pipe.pauses == 1


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (b"NOOP\r\nQUIT\r\n", [b"NOOP", b"QUIT"]),
        (b"\r\n", [b""]),
        (b"NOOP\nQUIT\r\n", [BareLineEnd, b"QUIT"]),
        (b"NOOP\rQUIT\r\n", [BareLineEnd]),
        (b"NOOP\r\r\nQUIT\r\n", [BareLineEnd, b"QUIT"]),
        (b"NOOP" + b"x" * 97 + b"\r\nQUIT\r\n", [LineTooLong, b"QUIT"]),
        (b"no end", []),
        (b"\x16\x03\x01\x02\x00\x01", []),
    ],
)
def test_command_lines(sent, lines):
    assert read_lines([sent]) == lines
    assert read_lines([bytes([octet]) for octet in sent]) == lines


@pytest.mark.parametrize("size", [98, 99, 100, 101, 102])
def test_the_line_limit_does_not_depend_on_the_packets(size):
    sent = b"x" * size + b"\r\nQUIT\r\n"
    assert read_lines([bytes([octet]) for octet in sent]) == read_lines([sent])


def test_nothing_said_before_tls_is_heard_after_it():
    pipe = Pipe()
    pipe.wire.feed(b"RSET\r\nMAIL FROM:<injected@example.org>\r\n")
    pipe.wire.discard()
    pipe.wire.feed(b"EHLO x\r\n")
    assert asyncio.run(pipe.wire.line(100)) == b"EHLO x"
