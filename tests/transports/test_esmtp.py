"""What a peer sees of a delivery when all goes well, and what becomes of refusals."""

import pytest

from mta.transports.base import Result
from mta.transports.esmtp import Esmtp
from tests.support.sink import Sink, SinkSession
from tests.transports.esmtp_delivery import (
    NO_PIPELINING,
    SENDER,
    TEXT,
    Delivery,
    both_ways,
    message,
)


class Book:
    def __init__(self, nexthop: str) -> None:
        self._nexthop = nexthop

    def is_mailbox(self, address: str) -> bool:
        return False

    def account(self, address: str) -> str | None:
        return None

    def nexthop(self, address: str) -> str:
        return self._nexthop


@pytest.mark.parametrize(
    ("nexthop", "claimed"),
    [
        ("mx:example.org", "mx:example.org"),
        ("relay:[192.0.2.1]:25", "relay:[192.0.2.1]:25"),
        ("discard:", None),
        ("", None),
    ],
)
def test_it_claims_what_goes_to_other_hosts(nexthop: str, claimed: str | None) -> None:
    assert Esmtp().claim("ann@example.org", Book(nexthop)) == claimed


@pytest.mark.parametrize(
    "word", ["", "mx:", "relay:host", "relay::25", "relay:h:0", "relay:h:25/X"]
)
def test_a_malformed_next_hop_is_an_error_of_ours(word: str) -> None:
    with pytest.raises(ValueError, match="next hop|security"):
        Delivery(word, message(1, "ann@example.org"))


@both_ways
def test_a_message_arrives_as_it_is(extensions: tuple[str, ...]) -> None:
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    (taken,) = sink.messages
    assert taken.content == TEXT
    assert taken.reverse_path == SENDER
    assert taken.recipients == ["ann@example.org", "bob@example.org"]
    assert delivery.results == [Result.SENT, Result.SENT]
    assert delivery.committed == [1000, 1001]
    assert sink.sessions[0].verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]


def test_an_outcome_names_reply_peer_and_command() -> None:
    with Sink(replies={"RCPT bob@example.org": "550 5.1.1 no bob here"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    sent, bounced = delivery.by_id[1000], delivery.by_id[1001]
    assert (sent.command, str(sent.reply)) == ("DATA", "250 2.0.0 queued as SINK")
    assert str(bounced.reply) == "550 5.1.1 no bob here"
    assert bounced.command.startswith("RCPT TO:<bob@example.org>")
    assert sent.remote == bounced.remote == "[127.0.0.1]"
    assert (sent.tls, sent.final) == ("", True)


def test_envelope_and_data_leave_in_one_write_to_a_peer_with_pipelining() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    assert [command.split()[0] for command in sink.sessions[0].pipelined] == [
        "RCPT",
        "RCPT",
        "DATA",
    ]


def test_nothing_is_sent_ahead_to_a_peer_without_pipelining() -> None:
    with Sink(extensions=NO_PIPELINING) as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    assert sink.sessions[0].pipelined == []


@both_ways
def test_each_recipient_gets_the_reply_to_its_rcpt(extensions: tuple[str, ...]) -> None:
    replies = {
        "RCPT bob@example.org": "550 5.1.1 no such user",
        "RCPT cyd@example.org": "451 4.7.1 greylisted",
        "RCPT dan@example.org": "552 over quota",
    }
    people = [f"{name}@example.org" for name in ("ann", "bob", "cyd", "dan", "eve")]
    with Sink(replies=replies, extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert delivery.replies == ["250 2.0.0", "550 5.1.1", "451 4.7.1", "552 5.0.0", "250 2.0.0"]
    assert delivery.committed == [1000, 1004]
    assert sink.recipients == ["ann@example.org", "eve@example.org"]


@both_ways
def test_no_recipient_accepted_sends_no_content_and_the_next_message_goes_on(
    extensions: tuple[str, ...],
) -> None:
    replies = {"RCPT bob@example.org": "550 5.1.1 no such user"}
    with Sink(replies=replies, extensions=extensions) as sink:
        delivery = Delivery(
            sink.nexthop, message(1, "bob@example.org"), message(2, "ann@example.org")
        )
    assert delivery.results == [Result.BOUNCED, Result.SENT]
    assert delivery.committed == [2000]
    assert len(sink.sessions) == 1


def test_a_354_without_recipients_gets_a_lone_dot() -> None:
    replies = {"RCPT bob@example.org": "550 5.1.1 no", "DATA": ["354 oh well", "354 go on"]}
    with Sink(replies=replies) as sink:
        delivery = Delivery(
            sink.nexthop, message(1, "bob@example.org"), message(2, "ann@example.org")
        )
    assert delivery.results == [Result.BOUNCED, Result.SENT]
    assert [taken.raw for taken in sink.messages if not taken.recipients] == [b".\r\n"]
    assert [taken.content for taken in sink.messages if taken.recipients] == [TEXT]


@both_ways
@pytest.mark.parametrize(
    ("step", "reply", "result"),
    [
        ("MAIL", "550 5.7.1 not you", Result.BOUNCED),
        ("MAIL", "451 4.3.0 later", Result.DEFERRED),
        ("DATA", "554 5.6.0 no", Result.BOUNCED),
        ("DATA", "451 4.3.0 later", Result.DEFERRED),
        (".", "554 5.7.1 spam", Result.BOUNCED),
        (".", "452 4.3.1 full", Result.DEFERRED),
    ],
)
def test_a_refusal_of_mail_or_data_holds_for_all_and_the_session_goes_on(
    extensions: tuple[str, ...], step: str, reply: str, result: Result
) -> None:
    replies = {step: [reply, "354 go" if step == "DATA" else "250 2.0.0 ok"]}
    with Sink(replies=replies, extensions=extensions) as sink:
        delivery = Delivery(
            sink.nexthop,
            message(1, "ann@example.org", "bob@example.org"),
            message(2, "cyd@example.org"),
        )
    assert delivery.results == [result, result, Result.SENT]
    assert delivery.replies[0] == delivery.replies[1] == reply[:9]
    assert len(sink.sessions) == 1


@both_ways
def test_many_messages_share_one_connection(extensions: tuple[str, ...]) -> None:
    messages = [message(n, f"user{n}@example.org") for n in range(1, 31)]
    contents = {n: b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(1, 31)}
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, *messages, content=contents)
    assert delivery.results == [Result.SENT] * 30
    assert [taken.content for taken in sink.messages] == list(contents.values())
    assert len(sink.sessions) == 1
    assert "RSET" not in sink.sessions[0].verbs


@both_ways
def test_a_peer_that_takes_one_recipient_at_a_time_gets_several_transactions(
    extensions: tuple[str, ...],
) -> None:
    def one_only(session: SinkSession, line: str) -> str:
        since_mail = session.verbs[::-1].index("MAIL")
        return "250 2.1.5 ok" if since_mail == 1 else "452 4.5.3 too many recipients"

    people = [f"user{n}@example.org" for n in range(4)]
    with Sink(replies={"RCPT": one_only}, extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert delivery.results == [Result.SENT] * 4
    assert sorted(sink.recipients) == people
    assert len(sink.messages) == 4
    assert len(sink.sessions) == 1


def test_too_many_for_the_very_first_recipient_defers_it() -> None:
    with Sink(replies={"RCPT": "452 4.5.3 too many recipients"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.replies == ["452 4.5.3"]


def test_more_than_a_hundred_recipients_are_split() -> None:
    people = [f"user{n}@example.org" for n in range(250)]
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert [len(taken.recipients) for taken in sink.messages] == [100, 100, 50]
    assert delivery.results == [Result.SENT] * 250


def test_the_null_sender_stays_null() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org", reverse_path=""))
    assert sink.sessions[0].commands[1].startswith("MAIL FROM:<>")


def test_a_strange_local_part_is_quoted_on_the_wire() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, 'a "quoted" @name@example.org'))
    assert 'RCPT TO:<"a \\"quoted\\" @name"@example.org>' in sink.sessions[0].commands


def test_an_address_can_never_bring_in_a_command() -> None:
    with Sink() as sink, pytest.raises(ValueError, match="line end"):
        Delivery(sink.nexthop, message(1, "x@example.org>\r\nRCPT TO:<y@example.org"))
    assert sink.recipients == []


def test_stopping_finishes_the_message_at_hand_and_leaves_the_rest() -> None:
    messages = [message(n, "ann@example.org") for n in (1, 2, 3)]
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, *messages, stop_after=1)
    assert list(delivery.by_id) == [1000]
    assert len(sink.messages) == 1
