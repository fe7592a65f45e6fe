"""The discard transport drops what a route sends to it, and says so."""

from mta.transports.base import DeliveryRequest, Result
from mta.transports.discard import Discard
from tests.transports.contract import Book, context, message


def test_drops_on_the_record(tmp_path):
    request = DeliveryRequest("discard", "discard:", (message(7, ["a@example.com"]),))
    (outcome,) = Discard().deliver(request, context(tmp_path))
    assert (outcome.recipient_id, outcome.result) == (701, Result.SENT)
    assert str(outcome.reply) == "250 2.0.0 discarded as the route says"
    assert list(tmp_path.iterdir()) == []


def test_takes_only_what_is_routed_to_it():
    book = Book(mailboxes=["ann@example.com"], nexthops={"a@example.net": "discard:"})
    assert Discard().claim("a@example.net", book) == "discard:"
    assert Discard().claim("ann@example.com", book) is None
