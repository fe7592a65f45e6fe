"""Hostile and broken peers: whatever they do there is an outcome, and no worker is held."""

from pathlib import Path

import pytest

from mta.transports.base import DeliveryContext, DeliveryRequest, Result
from mta.transports.esmtp import Esmtp
from tests.support.sink import Do, Sink, SinkSession
from tests.transports.esmtp_delivery import PLENTY, SHORT, TEXT, Delivery, both_ways, message


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"BANNER": "554 5.7.1 go away"}, "554 5.7.1"),
        ({"BANNER": "421 too busy"}, "421 4.0.0"),
        ({"BANNER": Do.HANG}, "451 4.4.2"),
        ({"BANNER": Do.CLOSE}, "451 4.4.2"),
        ({"BANNER": b"SSH-2.0-OpenSSH_9.6\r\n"}, "451 4.5.0"),
        ({"BANNER": b"220-" + b"x" * 60 + b"\r\n"}, "451 4.4.2"),
        ({"BANNER": b"220-banner line\r\n" * 60_000}, "451 4.5.0"),
        ({"BANNER": b"x" * 1_000_000}, "451 4.5.0"),
        ({"EHLO": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"EHLO": "550 no", "HELO": "550 5.7.1 no"}, "550 5.7.1"),
        ({"EHLO": Do.CLOSE}, "451 4.4.2"),
        ({"MAIL": "199 what"}, "451 4.5.0"),
        ({"MAIL": "299 fine"}, "250 2.0.0"),
        ({"MAIL": "999 odd"}, "451 4.5.0"),
        ({"MAIL": "354 not now"}, "451 4.5.0"),
        ({"MAIL": "ok"}, "451 4.5.0"),
        ({"MAIL": b"250-one\r\n550 two\r\n"}, "451 4.5.0"),
        ({"MAIL": b"250 bare LF\n"}, "250 2.0.0"),
        ({"MAIL": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"MAIL": Do.HANG}, "451 4.4.2"),
        ({"MAIL": Do.RESET}, "451 4.4.2"),
        ({"MAIL": b"250 8-bit \xff\xfe\xc3\xbc\r\n"}, "250 2.0.0"),
        ({"RCPT": "199 what"}, "451 4.5.0"),
        ({"RCPT": "299 fine"}, "250 2.0.0"),
        ({"RCPT": "999 odd"}, "451 4.5.0"),
        ({"RCPT": "354 not now"}, "451 4.5.0"),
        ({"RCPT": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"RCPT": Do.CLOSE}, "451 4.4.2"),
        ({"DATA": "250 sure"}, "451 4.5.0"),
        ({"DATA": Do.HANG}, "451 4.4.2"),
        ({"DATA": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"DATA": ("354 go", Do.RESET)}, "451 4.4.2"),
        ({"DATA": ("354 go", Do.HANG)}, "451 4.4.2"),
        ({"DATA": "199 what"}, "451 4.5.0"),
        ({".": "421 4.3.2 closing"}, "421 4.3.2"),
        ({".": "999 odd"}, "451 4.5.0"),
        ({".": "299 2.0.0 fine"}, "299 2.0.0"),
        ({".": Do.HANG}, "451 4.4.2"),
        ({".": "354 more?"}, "451 4.5.0"),
        ({".": "gibberish"}, "451 4.5.0"),
        ({".": ("250 2.0.0 taken", Do.RESET)}, "250 2.0.0"),
        ({"QUIT": Do.HANG}, "250 2.0.0"),
        ({"QUIT": Do.RESET}, "250 2.0.0"),
    ],
    ids=str,
)
def test_whatever_a_peer_does_there_is_an_outcome(replies: dict[str, object], outcome: str) -> None:
    with Sink(replies=replies) as sink:  # type: ignore[arg-type]
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.replies == [outcome]


def test_a_reset_before_the_banner_is_no_connection_or_a_lost_one() -> None:
    with Sink(replies={"BANNER": Do.RESET}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    # Which one depends on whether the reset overtakes the end of connect().
    assert delivery.replies in (["451 4.4.1"], ["451 4.4.2"])


@pytest.mark.parametrize("step", [Do.RESET, Do.CLOSE, Do.HANG, "421 4.3.2 closing"], ids=str)
def test_losing_the_peer_after_the_final_dot_is_deferred_and_known_as_uncertain(
    step: Do | str,
) -> None:
    with Sink(replies={".": step}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]
    assert delivery.committed == [1000]
    assert delivery.only.command == "DATA"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_losing_the_peer_before_the_final_dot_is_not_uncertain(step: str) -> None:
    with Sink(replies={step: Do.CLOSE}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]
    assert delivery.committed == []


def test_a_reply_that_was_read_before_the_loss_counts() -> None:
    replies = {"RCPT bob@example.org": ("550 5.1.1 no such user", Do.CLOSE)}
    with Sink(replies=replies) as sink:
        delivery = Delivery(sink.nexthop, message(1, "bob@example.org", "ann@example.org"))
    assert delivery.replies == ["550 5.1.1", "451 4.4.2"]


def test_replies_are_made_harmless_but_kept() -> None:
    nasty = b"550 5.1.1 <script>\x00\x1b[31m'; DROP TABLE\xff\xfe \xc3\xbc\r\n"
    with Sink(replies={"RCPT": nasty}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    text = delivery.only.reply.text
    assert text.startswith("<script>  [31m'; DROP TABLE")
    assert text.isprintable()
    assert "ü" in text


def test_a_long_reply_is_kept_in_part() -> None:
    lines = "\n".join(f"550-line {number} " + "x" * 3000 for number in range(90))
    with Sink(replies={"RCPT": f"{lines}\n550 end"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    kept = delivery.only.reply.text.split("\n")
    assert len(kept) == 10
    assert max(map(len, kept)) <= 2048


def test_a_dropped_connection_defers_one_message_and_the_others_go_over_a_new_one() -> None:
    with Sink(replies={"RCPT bad@example.org": Do.CLOSE}) as sink:
        delivery = Delivery(
            sink.nexthop,
            message(1, "ann@example.org"),
            message(2, "bad@example.org"),
            message(3, "cyd@example.org"),
        )
    assert delivery.replies == ["250 2.0.0", "451 4.4.2", "250 2.0.0"]
    assert sink.recipients == ["ann@example.org", "cyd@example.org"]


@both_ways
@pytest.mark.parametrize("answer", [("250 2.0.0 ok", Do.CLOSE), "421"], ids=["closes", "421"])
def test_a_peer_that_wants_one_message_a_connection_still_gets_all(
    extensions: tuple[str, ...], answer: object
) -> None:
    def second_mail(session: SinkSession, line: str) -> object:
        return "250 2.1.0 ok" if session.verbs.count("MAIL") == 1 else ("421 bye", Do.CLOSE)

    replies: dict[str, object] = {"MAIL": second_mail} if answer == "421" else {".": answer}
    messages = [message(n, f"user{n}@example.org") for n in range(1, 6)]
    with Sink(replies=replies, extensions=extensions) as sink:  # type: ignore[arg-type]
        delivery = Delivery(sink.nexthop, *messages)
    assert delivery.results == [Result.SENT] * 5
    assert len(sink.messages) == 5
    assert len(sink.sessions) == 5


def test_a_peer_that_never_gets_anywhere_is_left_alone_soon() -> None:
    messages = [message(n, "ann@example.org") for n in range(1, 21)]
    with Sink(replies={"MAIL": Do.CLOSE}) as sink:
        delivery = Delivery(sink.nexthop, *messages)
    assert delivery.results == [Result.DEFERRED] * 20
    assert len(sink.sessions) == 2


def test_the_session_as_a_whole_is_bounded() -> None:
    messages = [message(n, "ann@example.org") for n in range(1, 4)]
    with Sink(replies={"RCPT": Do.HANG}) as sink:
        delivery = Delivery(sink.nexthop, *messages, timeouts={**PLENTY, "session": 0.3})
    assert delivery.results == [Result.DEFERRED] * 3


def test_a_failure_of_ours_in_mid_delivery_gives_the_peer_no_complete_message() -> None:
    class DatabaseAway(Exception):
        pass

    def fail(ids: object) -> None:
        raise DatabaseAway

    with Sink() as sink:
        context = DeliveryContext(
            "mail.example.test", Path("unused"), lambda id: TEXT, committing=fail
        )
        request = DeliveryRequest("esmtp", sink.nexthop, (message(1, "ann@example.org"),))
        with pytest.raises(DatabaseAway):
            list(Esmtp().deliver(request, context))
    assert sink.messages == []


def test_greylisting_is_a_delay_and_then_over() -> None:
    with Sink(replies={"RCPT": ["451 4.7.1 come back later", "250 2.1.5 ok"]}) as sink:
        first = Delivery(sink.nexthop, message(1, "ann@example.org"))
        second = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert first.replies == ["451 4.7.1"]
    assert second.replies == ["250 2.0.0"]


@pytest.mark.parametrize("end", [Do.CLOSE, Do.RESET], ids=str)
def test_a_refusal_in_the_middle_of_the_data_is_heard(end: Do) -> None:
    # More than any socket takes in at once, so that the peer is gone before all is written.
    content = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 400_000
    replies = {"DATA": ("354 go\n552 5.3.4 that is too big", end)}
    with Sink(replies=replies) as sink:
        delivery = Delivery(
            sink.nexthop, message(1, "ann@example.org"), content=content, timeouts=SHORT
        )
    assert delivery.replies == ["552 5.3.4"]
    assert sink.messages == []


@pytest.mark.parametrize("reply", ["421 4.3.2 closing", "500 5.5.1 what?", "gibberish", Do.CLOSE])
def test_a_peer_that_dislikes_rset_gets_the_next_message_over_a_new_connection(
    reply: str | Do,
) -> None:
    replies = {"RSET": reply, "RCPT bob@example.org": "550 5.1.1 no bob"}
    with Sink(replies=replies) as sink:
        delivery = Delivery(
            sink.nexthop, message(1, "bob@example.org"), message(2, "ann@example.org")
        )
    assert delivery.replies == ["550 5.1.1", "250 2.0.0"]
    assert len(sink.sessions) == 2


def test_a_reply_of_many_octets_a_second_and_no_end_holds_nobody() -> None:
    with Sink(replies={"EHLO": b"250-X\r\n" * 200_000}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.replies == ["451 4.5.0"]
