"""A verdict for each recipient after the end of the data: EXDATA and PRDR, as a client."""

import pytest

from mta.transports.base import Result
from tests.support.sink import ALL_EXTENSIONS, Do, Sink
from tests.transports.esmtp_delivery import SHORT, TEXT, Delivery, both_ways, message

EXDATA = (*ALL_EXTENSIONS, "XEXDATA")
PRDR = (*ALL_EXTENSIONS, "PRDR")
PEOPLE = ("ann@example.org", "bob@example.org", "cyd@example.org")
MIXED = "558-250 ok\n558-550-no\n558-550 way\n558 451 later"


@both_ways
def test_each_recipient_gets_its_own_verdict(extensions: tuple[str, ...]) -> None:
    with Sink(replies={".": MIXED}, extensions=(*extensions, "XEXDATA")) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["250 2.0.0", "550 5.0.0", "451 4.0.0"]
    assert delivery.by_id[1001].reply.text == "no\nway"
    assert delivery.by_id[1001].command == "DATA"
    assert sink.messages[0].mail_parameters.endswith(f"SIZE={len(TEXT)} EXDATA")


def test_verdicts_are_for_those_whose_rcpt_was_accepted() -> None:
    replies = {"RCPT bob@example.org": "550 5.1.1 no bob", ".": "558-250 ok\n558 452 4.2.2 full"}
    with Sink(replies=replies, extensions=EXDATA) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["250 2.0.0", "550 5.1.1", "452 4.2.2"]


@pytest.mark.parametrize(
    "verdicts",
    ["558 250 ok", "558-250 ok\n558-550-and then\n558 550-nothing", "558-250 ok\n558 what?"],
)
def test_who_gets_no_verdict_is_tried_again(verdicts: str) -> None:
    with Sink(replies={".": verdicts}, extensions=EXDATA) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["250 2.0.0", "451 4.5.0", "451 4.5.0"]


def test_a_558_out_of_nowhere_is_a_refusal_for_all() -> None:
    with Sink(replies={".": MIXED}) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["558 5.0.0"] * 3
    assert "EXDATA" not in sink.messages[0].mail_parameters


@pytest.mark.parametrize("reply", ["250 2.0.0 all", "554 5.6.0 none", "452 4.3.1 not now"])
@pytest.mark.parametrize("extensions", [EXDATA, PRDR], ids=["EXDATA", "PRDR"])
def test_one_reply_still_holds_for_all(reply: str, extensions: tuple[str, ...]) -> None:
    with Sink(replies={".": reply}, extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == [reply[:9]] * 3


def test_a_421_for_one_recipient_does_not_end_the_session() -> None:
    replies = {".": ["558-250 ok\n558 421 4.7.0 in another transaction", "250 2.0.0 ok"]}
    with Sink(replies=replies, extensions=EXDATA) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE[:2]), message(2, PEOPLE[2]))
    assert delivery.replies == ["250 2.0.0", "421 4.7.0", "250 2.0.0"]
    assert len(sink.sessions) == 1


def test_a_hundred_long_verdicts_are_read_to_the_end() -> None:
    people = [f"user{number}@example.org" for number in range(100)]
    verdict = "".join(f"558-550-line {number}\n" for number in range(10)) + "558-550 end\n"
    replies = {".": verdict * 99 + "558 250 the last one"}
    with Sink(replies=replies, extensions=EXDATA) as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert delivery.results == [Result.BOUNCED] * 99 + [Result.SENT]


def test_verdicts_without_end_are_cut_off() -> None:
    with Sink(replies={".": "558-250 ok\n" * 100_000}, extensions=EXDATA) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["451 4.5.0"] * 3


@pytest.mark.parametrize("end", [Do.CLOSE, Do.HANG, Do.RESET], ids=str)
@pytest.mark.parametrize(
    ("extensions", "begin"),
    [(EXDATA, "558-250 ok\n558-550 no"), (PRDR, "353 now\n250 ok\n550 no")],
    ids=["EXDATA", "PRDR"],
)
def test_verdicts_that_break_off_leave_everybody_uncertain(
    extensions: tuple[str, ...], begin: str, end: Do
) -> None:
    with Sink(replies={".": (begin, end)}, extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED] * 3
    assert delivery.committed == [1000, 1001, 1002]


@both_ways
def test_prdr_gives_a_reply_for_each_recipient_and_one_for_all(
    extensions: tuple[str, ...],
) -> None:
    verdicts = "250 2.1.5 ok\n550-5.7.1 no\n550 5.7.1 way\n452 4.2.2 full"
    replies = {".": f"353 now\n{verdicts}\n250 queued as SINK"}
    with Sink(replies=replies, extensions=(*extensions, "PRDR")) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE), message(2, PEOPLE[0]))
    assert delivery.replies[:3] == ["250 2.0.0", "550 5.7.1", "452 4.2.2"]
    assert delivery.by_id[1000].reply.text == "queued as SINK"
    assert sink.messages[0].mail_parameters.endswith(f"SIZE={len(TEXT)} PRDR")


def test_prdr_is_not_asked_for_a_single_recipient() -> None:
    with Sink(extensions=PRDR) as sink:
        Delivery(sink.nexthop, message(1, PEOPLE[0]))
    assert "PRDR" not in sink.messages[0].mail_parameters


def test_the_last_reply_of_prdr_can_refuse_the_message_as_a_whole() -> None:
    replies = {".": "353 now\n250 ok\n550 5.7.1 no\n250 ok\n451 4.3.0 could not keep it"}
    with Sink(replies=replies, extensions=PRDR) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["451 4.3.0", "550 5.7.1", "451 4.3.0"]


@pytest.mark.parametrize("reply", ["353 now\n353 again\n250 ok\n250 ok\n250 ok", "353 now\nwhat?"])
def test_nonsense_among_the_verdicts_ends_the_session(reply: str) -> None:
    with Sink(replies={".": reply}, extensions=PRDR) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["451 4.5.0"] * 3


def test_a_353_that_nobody_asked_for_is_nonsense() -> None:
    with Sink(replies={".": "353 now\n250 ok\n250 ok\n250 ok\n250 ok"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE))
    assert delivery.replies == ["451 4.5.0"] * 3


def test_exdata_goes_before_prdr() -> None:
    with Sink(extensions=(*PRDR, "XEXDATA")) as sink:
        Delivery(sink.nexthop, message(1, *PEOPLE))
    parameters = sink.messages[0].mail_parameters.split()
    assert ("EXDATA" in parameters, "PRDR" in parameters) == (True, False)
