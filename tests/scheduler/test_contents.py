"""Contents for a batch: small ones at once, large ones when asked, a bounded number kept."""

import threading
from collections.abc import Iterable, Mapping

import pytest

from mta.protocol.queue_id import encode_queue_id
from mta.scheduler.contents import ContentMissing, Contents, Room
from mta.transports.base import QueuedMessage
from tests.queue.rows import make_message
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.django_db


def queued(content: bytes) -> QueuedMessage:
    message = make_message(content=content)
    return QueuedMessage(message.id, encode_queue_id(message.id), "", len(content), 0.0, ())


def holding(
    messages: Iterable[QueuedMessage], known: Mapping[int, bytes] | None = None, **terms
) -> Contents:
    contents = Contents(**terms)
    contents.hold(messages, known or {})
    return contents


def test_small_contents_need_no_room():
    full = Room(1)
    full.take(1)
    messages = [queued(b"one"), queued(b"two")]
    given = holding(messages, {messages[0].id: b"as claimed"}, room=full)
    assert [given(message.id) for message in messages] == [b"as claimed", b"two"]


def test_what_came_with_the_claim_is_not_all_held():
    """A claim may bring a hundred messages, and there are hundreds of sessions."""
    message = queued(b"stored")
    given = holding([message], {message.id: b"as claimed"}, preload=5)
    assert given(message.id) == b"stored"


def test_large_contents_are_fetched_again_when_they_had_to_go():
    messages = [queued(b"large %d" % number) for number in range(4)]
    given = holding(messages, preload=2)
    for _ in range(2):
        for number, message in enumerate(messages):
            assert given(message.id) == b"large %d" % number


def test_a_content_that_is_gone():
    room = Room(1)
    with pytest.raises(ContentMissing):
        holding([], room=room)(12345)
    room.take(1)


def test_sessions_share_the_room_for_large_contents():
    room = Room(10)
    room.take(6)
    events: list[str] = []
    asking = threading.Event()

    def another() -> None:
        asking.set()
        room.take(6)
        events.append("taken")

    thread = threading.Thread(target=another)
    thread.start()
    asking.wait()
    events.append("given back")
    room.give_back(6)
    thread.join(PATIENCE)
    assert events == ["given back", "taken"]


def test_one_that_is_larger_than_the_room_goes_alone():
    room = Room(1)
    first, second = queued(b"large"), queued(b"larger")
    given = holding([first, second], preload=0, large=1, room=room)
    assert given(first.id) == b"large"
    assert given(second.id) == b"larger"
    given.close()
    assert holding([first], preload=0, large=1, room=room)(first.id) == b"large"


def test_a_worker_that_is_stopping_waits_for_no_room():
    stopping = False
    room = Room(1, lambda: stopping)
    room.take(1)
    thread = threading.Thread(target=room.take, args=[1])
    thread.start()
    stopping = True
    thread.join(PATIENCE)
    assert not thread.is_alive()
