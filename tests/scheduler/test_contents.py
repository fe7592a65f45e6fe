"""Contents for a batch: small ones at once, large ones when asked, a bounded number kept."""

import pytest

from mta.protocol.queue_id import encode_queue_id
from mta.scheduler import contents
from mta.scheduler.contents import ContentMissing, Contents
from mta.transports.base import QueuedMessage
from tests.queue.rows import make_message

pytestmark = pytest.mark.django_db


def queued(content: bytes) -> QueuedMessage:
    message = make_message(content=content)
    return QueuedMessage(message.id, encode_queue_id(message.id), "", len(content), 0.0, ())


def test_small_contents_cost_one_question(django_assert_num_queries):
    messages = [queued(b"one"), queued(b"two")]
    with django_assert_num_queries(0):
        # psycopg's own cursor is not counted; a question for each would be.
        given = Contents(messages)
        assert [given(message.id) for message in messages] == [b"one", b"two"]


def test_large_contents_are_fetched_again_when_they_had_to_go(monkeypatch):
    monkeypatch.setattr(contents, "PRELOAD", 2)
    messages = [queued(b"large %d" % number) for number in range(4)]
    given = Contents(messages)
    for _ in range(2):
        for number, message in enumerate(messages):
            assert given(message.id) == b"large %d" % number


def test_a_content_that_is_gone():
    with pytest.raises(ContentMissing):
        Contents([])(12345)
