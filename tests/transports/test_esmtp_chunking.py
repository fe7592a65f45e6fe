"""Large contents by BDAT to those who take it."""

from dataclasses import replace

import pytest

from mta.transports.base import QueuedMessage, Result
from mta.transports.esmtp_batches import MIN_CHUNKED
from tests.support.sink import ALL_EXTENSIONS, Do, Sink
from tests.transports.esmtp_delivery import NO_PIPELINING, SHORT, TEXT, Delivery, message

LARGE = b"Subject: large\r\n\r\n" + b".a dot, and more\r\n" * (MIN_CHUNKED // 16)
CHUNKING = (*ALL_EXTENSIONS, "CHUNKING")
BOTH = message(1, "ann@example.org", "bob@example.org")


def again(queued: QueuedMessage) -> QueuedMessage:
    return replace(queued, recipients=tuple(replace(r, attempt=2) for r in queued.recipients))


@pytest.mark.parametrize("extensions", [CHUNKING, (*NO_PIPELINING, "CHUNKING")])
def test_a_large_content_arrives_as_it_is(extensions):
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, BOTH, message(2, "eve@example.org"), content=LARGE)
    assert delivery.results == [Result.SENT] * 3
    assert [taken.raw for taken in sink.messages] == [LARGE] * 2
    assert delivery.committed == [1000, 1001, 2000]
    assert "DATA" not in sink.sessions[0].verbs
    assert len(sink.sessions) == 1


def test_an_end_without_a_line_end_gets_one():
    with Sink(extensions=CHUNKING) as sink:
        Delivery(sink.nexthop, BOTH, content=LARGE + b"the end")
    assert sink.messages[0].content == LARGE + b"the end\r\n"


@pytest.mark.parametrize(
    ("extensions", "content", "queued"),
    [
        (ALL_EXTENSIONS, LARGE, BOTH),
        (CHUNKING, TEXT, BOTH),
        (CHUNKING, LARGE, again(BOTH)),
        ((*CHUNKING, "PRDR"), LARGE, BOTH),
    ],
    ids=["not offered", "small", "failed before", "verdicts for each"],
)
def test_otherwise_it_is_data(extensions, content, queued):
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, queued, content=content)
    assert delivery.results == [Result.SENT] * 2
    assert "BDAT" not in sink.sessions[0].verbs
    assert sink.messages[0].content == content


def test_each_recipient_has_one_outcome():
    replies = {"RCPT ann@example.org": "550 5.1.1 who?", ".": "452 4.2.2 full"}
    with Sink(replies, extensions=CHUNKING) as sink:
        delivery = Delivery(sink.nexthop, BOTH, content=LARGE)
    assert delivery.replies == ["550 5.1.1", "452 4.2.2"]
    assert delivery.by_id[1001].command == "BDAT"
    assert delivery.committed == [1001]


def test_content_for_nobody_is_not_sent():
    with Sink({"RCPT": "550 5.1.1 who?"}, extensions=CHUNKING) as sink:
        delivery = Delivery(sink.nexthop, BOTH, message(2, "eve@x.org"), content=LARGE)
    assert delivery.results == [Result.BOUNCED] * 3
    assert "BDAT" not in sink.sessions[0].verbs
    assert "RSET" in sink.sessions[0].verbs


@pytest.mark.parametrize("code", [500, 502, 503])
def test_a_peer_that_does_not_know_what_it_offers_defers(code):
    with Sink({".": f"{code} 5.5.1 what?"}, extensions=CHUNKING) as sink:
        delivery = Delivery(sink.nexthop, BOTH, content=LARGE)
    assert delivery.results == [Result.DEFERRED] * 2
    assert "answers BDAT with" in delivery.outcomes[0].reply.text


def test_a_refusal_of_the_content_is_final():
    with Sink({".": "554 5.7.1 spam"}, extensions=CHUNKING) as sink:
        delivery = Delivery(sink.nexthop, BOTH, content=LARGE)
    assert delivery.results == [Result.BOUNCED] * 2


@pytest.mark.parametrize("answer", [Do.CLOSE, Do.HANG])
def test_no_answer_to_the_last_octet_is_uncertain(answer):
    with Sink({".": answer}, extensions=CHUNKING) as sink:
        delivery = Delivery(sink.nexthop, BOTH, content=LARGE, timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED] * 2
    assert delivery.committed == [1000, 1001]
