"""Mail that asks for variable return paths, to peers that make them and to those that do not."""

import pytest

from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER
from mta.transports.base import QueuedRecipient, Result
from tests.support.sink import ALL_EXTENSIONS, Do, Sink
from tests.transports.esmtp_delivery import Delivery, both_ways, message

LIST = "list-out@example.com"
PEOPLE = ("ann@example.org", "bob+x@example.org", "cyd@example.net")
PATHS = [
    "list-out-ann=example.org@example.com",
    "list-out-bob+2Bx=example.org@example.com",
    "list-out-cyd=example.net@example.com",
]


def test_a_peer_that_can_makes_the_paths_itself() -> None:
    with Sink(extensions=(*ALL_EXTENSIONS, "XVERP=Courier")) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE, reverse_path=LIST, verp=True))
    (taken,) = sink.messages
    assert taken.reverse_path == LIST
    assert taken.mail_parameters.startswith("BODY=7BIT VERP SIZE=")
    assert taken.recipients == list(PEOPLE)
    assert delivery.results == [Result.SENT] * 3


@both_ways
@pytest.mark.parametrize("word", [(), ("XVERP",), ("XVERP=+=",), ("VERP",)], ids=str)
def test_any_other_peer_gets_a_transaction_for_each_recipient_over_one_connection(
    extensions: tuple[str, ...], word: tuple[str, ...]
) -> None:
    with Sink(extensions=extensions + word) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE, reverse_path=LIST, verp=True))
    assert [taken.reverse_path for taken in sink.messages] == PATHS
    assert [taken.recipients for taken in sink.messages] == [[person] for person in PEOPLE]
    assert all("VERP" not in taken.mail_parameters for taken in sink.messages)
    assert delivery.results == [Result.SENT] * 3
    assert len(sink.sessions) == 1


@pytest.mark.parametrize(("sender", "on_wire"), [("", ""), (DOUBLE_BOUNCE_SENDER, "")])
@pytest.mark.parametrize("word", [(), ("XVERP=Courier",)], ids=["without", "with"])
def test_the_null_sender_is_never_varied(sender: str, on_wire: str, word: tuple[str, ...]) -> None:
    with Sink(extensions=ALL_EXTENSIONS + word) as sink:
        Delivery(sink.nexthop, message(1, *PEOPLE, reverse_path=sender, verp=True))
    (taken,) = sink.messages
    assert taken.reverse_path == on_wire
    assert "VERP" not in taken.mail_parameters


def test_one_refused_recipient_does_not_touch_the_others() -> None:
    replies = {"RCPT bob+x@example.org": "550 5.1.1 no bob"}
    with Sink(replies=replies) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE, reverse_path=LIST, verp=True))
    assert delivery.replies == ["250 2.0.0", "550 5.1.1", "250 2.0.0"]
    assert [taken.reverse_path for taken in sink.messages] == [PATHS[0], PATHS[2]]


def test_recipients_left_by_a_lost_connection_go_over_a_new_one_with_their_paths() -> None:
    with Sink(replies={".": ("250 2.0.0 ok", Do.CLOSE)}) as sink:
        delivery = Delivery(sink.nexthop, message(1, *PEOPLE, reverse_path=LIST, verp=True))
    assert delivery.results == [Result.SENT] * 3
    assert [taken.reverse_path for taken in sink.messages] == PATHS
    assert len(sink.sessions) == 3


def test_recipients_who_want_no_report_need_no_path_at_a_peer_without_dsn() -> None:
    recipients = (
        QueuedRecipient(1000, "ann@example.org"),
        QueuedRecipient(1001, "bob@example.org", notify="NEVER"),
        QueuedRecipient(1002, "cyd@example.org", notify="NEVER"),
    )
    queued = message(1, recipients=recipients, reverse_path=LIST, verp=True)
    with Sink(extensions=("PIPELINING",)) as sink:
        Delivery(sink.nexthop, queued)
    assert [(taken.reverse_path, len(taken.recipients)) for taken in sink.messages] == [
        (PATHS[0], 1),
        ("", 2),
    ]


def test_a_message_without_the_wish_keeps_its_sender() -> None:
    with Sink(extensions=(*ALL_EXTENSIONS, "XVERP=Courier")) as sink:
        Delivery(sink.nexthop, message(1, *PEOPLE, reverse_path=LIST))
    (taken,) = sink.messages
    assert (taken.reverse_path, "VERP" in taken.mail_parameters) == (LIST, False)
