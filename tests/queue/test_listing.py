"""Pages of the queue, destinations, and messages as mailq shows them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Recipient, State
from mta.protocol.queue_id import encode_queue_id
from mta.queue.history import (
    QueueFilter,
    queue_counts,
    queue_groups,
    queue_page,
    queued_messages,
)
from tests.queue.rows import add_recipient, finish, make_message

pytestmark = pytest.mark.django_db


def test_pages_follow_each_other_without_gap_or_repetition():
    now = timezone.now()
    for minute in (5, 1, 3, 3, 2):
        make_message(created_at=now + timedelta(minutes=minute))

    seen, after = [], None
    while rows := queue_page(QueueFilter(), after=after, limit=2):
        seen += rows
        after = rows[-1].cursor

    assert len({row.recipient_id for row in seen}) == len(seen) == 5
    assert [row.next_attempt for row in seen] == sorted(row.next_attempt for row in seen)


def test_finished_mail_is_not_in_the_queue():
    finish(make_message(), timezone.now())
    assert queue_page(QueueFilter()) == []
    assert queue_page(QueueFilter(state="delivered")) == []
    assert list(queued_messages()) == []
    assert queue_counts() == {"queued": 0, "delivering": 0, "held": 0}


def test_a_row_shows_message_and_recipient():
    message = make_message("bob@example.test", reverse_path="")
    (row,) = queue_page(QueueFilter(sender="<>"))
    assert row.queue_id == encode_queue_id(message.id)
    assert (row.address, row.reverse_path, row.state) == ("bob@example.test", "", "queued")


def test_a_broken_cursor_is_a_value_error():
    for text in ("x", "2026-01-01_", "_5", "2026-01-01T00:00:00+00:00_x"):
        with pytest.raises(ValueError):
            queue_page(QueueFilter(), after=text)


def test_groups_are_per_next_hop_with_the_largest_first():
    now = timezone.now()
    make_message("a@one.test")
    old = make_message("a@two.test", "b@two.test", created_at=now - timedelta(days=1))
    add_recipient(old, "c@two.test", state=State.HELD, attempts=4, last_reply="451 4.4.1 silence")

    two, one = queue_groups()

    assert (two.nexthop, two.queued, two.held, two.delivering) == ("mx:two.test", 2, 1, 0)
    assert (two.total, two.attempts, two.last_reply) == (3, 4, "451 4.4.1 silence")
    assert two.oldest == old.created_at
    assert one.total == 1


def test_a_queued_message_comes_with_its_finished_recipients_oldest_first():
    now = timezone.now()
    young = make_message(created_at=now)
    old = make_message("a@example.test", created_at=now - timedelta(hours=1))
    add_recipient(old, "b@example.test", state=State.DELIVERED)

    messages = list(queued_messages(slice_size=1))

    assert [message.message_id for message in messages] == [old.id, young.id]
    assert [(row.address, row.state) for row in messages[0].recipients] == [
        ("a@example.test", "queued"),
        ("b@example.test", "delivered"),
    ]
    assert Recipient.objects.count() == 3
