"""Hold, release, retry and cancel, seen through the queue and the timeline."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from mta.models import Event, Lease, Recipient, State, Tally
from mta.queue import control
from mta.queue.control import Selection
from mta.queue.history import QueueFilter
from tests.queue.rows import add_recipient, make_message

pytestmark = pytest.mark.django_db

EVERYTHING = Selection()


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "state"))


def test_hold_keeps_the_next_attempt_and_release_gives_it_back():
    message = make_message("a@example.test")
    due = message.recipient_set.get().next_attempt

    assert control.hold(EVERYTHING, "admin", "suspicious") == 1
    held = message.recipient_set.get()
    assert (held.state, held.next_attempt) == (State.HELD, due)

    assert control.release(EVERYTHING, "admin") == 1
    assert message.recipient_set.get().state == State.QUEUED

    events = Event.objects.order_by("id")
    assert [event.kind for event in events] == ["held", "released"]
    assert events[0].data == {"actor": "admin", "reason": "suspicious"}
    assert events[0].recipient_id == held.id


def test_only_states_that_fit_are_changed_and_counted():
    message = make_message("queued@example.test")
    add_recipient(message, "held@example.test", state=State.HELD)
    add_recipient(message, "busy@example.test", state=State.DELIVERING)
    add_recipient(message, "done@example.test", state=State.DELIVERED)

    assert control.count(EVERYTHING) == 3
    assert control.release(EVERYTHING, "admin") == 1
    assert control.hold(EVERYTHING, "admin") == 2
    assert control.retry(EVERYTHING, "admin") == 0
    assert control.cancel(EVERYTHING, "admin", "no") == 2
    assert states() == {
        "queued@example.test": State.CANCELLED,
        "held@example.test": State.CANCELLED,
        "busy@example.test": State.DELIVERING,
        "done@example.test": State.DELIVERED,
    }


def test_retry_makes_due_now_but_never_later():
    now = timezone.now()
    message = make_message()
    later = add_recipient(message, "later@example.test", next_attempt=now + timedelta(hours=4))
    early = add_recipient(message, "early@example.test", next_attempt=now - timedelta(hours=4))

    assert control.retry(Selection(message_ids=(message.id,)), "admin") == 3

    later.refresh_from_db()
    assert later.next_attempt <= timezone.now()
    early.refresh_from_db()
    assert early.next_attempt == now - timedelta(hours=4)


def test_cancel_finishes_the_message_and_asks_for_a_report():
    message = make_message("a@example.test", "b@example.test")

    assert control.cancel(Selection(message_ids=(message.id,)), "admin", "sent by\nmistake\0") == 2

    message.refresh_from_db()
    assert message.pending == 0
    assert message.finished_at is not None
    for recipient in message.recipient_set.all():
        assert recipient.state == State.CANCELLED
        assert recipient.last_reply == "550 5.7.0 sent by mistake"
        assert recipient.report == "failed"
        assert recipient.finished_at is not None
    assert Tally.objects.get(kind="cancelled").count == 2


def test_cancel_leaves_the_message_open_while_a_recipient_is_being_delivered():
    message = make_message("a@example.test")
    lease = Lease.objects.create(
        transport="esmtp",
        nexthop="x",
        owner="w",
        acquired_at=timezone.now(),
        expires_at=timezone.now(),
    )
    add_recipient(message, "busy@example.test", state=State.DELIVERING, lease=lease)

    assert control.cancel(EVERYTHING, "admin", "") == 1

    message.refresh_from_db()
    assert (message.pending, message.finished_at) == (1, None)
    cancelled = message.recipient_set.get(address="a@example.test")
    assert cancelled.last_reply == f"550 5.7.0 {control.DEFAULT_REASON}"


@pytest.mark.parametrize(
    ("notify", "report"),
    [
        ("", "failed"),
        ("FAILURE", "failed"),
        ("SUCCESS,FAILURE", "failed"),
        ("SUCCESS,DELAY", ""),
        ("NEVER", ""),
    ],
)
def test_cancel_reports_as_the_sender_asked(notify, report):
    message = make_message()
    message.recipient_set.update(notify=notify)
    control.cancel(EVERYTHING, "admin", "no")
    assert message.recipient_set.get().report == report


def test_nothing_chosen_changes_nothing():
    message = make_message()
    assert control.cancel(Selection(message_ids=(message.id + 1,)), "admin", "no") == 0
    assert not Event.objects.exists()
    assert not Tally.objects.exists()


def test_a_filter_narrows_what_is_named():
    first = make_message("bob@example.test", "eve@example.test")
    second = make_message("bob@example.test", reverse_path="")
    by_name = QueueFilter(recipient="BOB@")

    assert control.count(Selection(filter=by_name)) == 2
    assert control.count(Selection(message_ids=(first.id,), filter=by_name)) == 1
    assert control.count(Selection(filter=QueueFilter(sender="<>"))) == 1
    assert control.count(Selection(filter=QueueFilter(destination="example.test"))) == 3
    assert control.count(Selection(filter=QueueFilter(destination="mx:example.test"))) == 3
    assert control.count(Selection(filter=QueueFilter(destination="esmtp"))) == 3
    assert control.count(Selection(filter=QueueFilter(older_than=timedelta(hours=1)))) == 0

    one = second.recipient_set.get().id
    assert control.hold(Selection(recipient_ids=(one,)), "admin") == 1
    assert control.count(Selection(filter=QueueFilter(state="held"))) == 1


@pytest.mark.parametrize("text", ["%", "_", "\\", "b%b", "';--", "\x00"])
def test_wildcards_and_quotes_in_a_filter_match_themselves_only(text):
    make_message("bob@example.test")
    everything = 1 if text == "\x00" else 0
    assert control.count(Selection(filter=QueueFilter(recipient=text))) == everything
    assert control.count(Selection(filter=QueueFilter(destination=text))) == 0


@pytest.mark.django_db(transaction=True)
def test_a_recipient_that_a_worker_takes_meanwhile_is_left_alone():
    message = make_message("taken@example.test", "free@example.test")
    changed: list[int] = []

    def cancel() -> None:
        try:
            changed.append(control.cancel(EVERYTHING, "admin", "no"))
        finally:
            connection.close()

    with transaction.atomic():
        taken = Recipient.objects.select_for_update().get(address="taken@example.test")
        other = threading.Thread(target=cancel)
        other.start()
        _wait_until_blocked()
        taken.state = State.DELIVERING
        taken.save()
    other.join()

    assert changed == [1]
    assert states() == {
        "taken@example.test": State.DELIVERING,
        "free@example.test": State.CANCELLED,
    }
    message.refresh_from_db()
    assert message.pending == 1


def _wait_until_blocked() -> None:
    """Return once another session of this database waits for a lock."""
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")


def test_reroute_pins_the_next_hop_and_normal_gives_it_back():
    message = make_message("a@example.test")
    later = timezone.now() + timedelta(hours=1)
    message.recipient_set.update(next_attempt=later)

    assert control.reroute(EVERYTHING, "admin", ("esmtp", "relay:other.test:25"), "broken") == 1
    row = message.recipient_set.get()
    assert (row.pinned, row.transport, row.nexthop) == (True, "esmtp", "relay:other.test:25")
    assert row.next_attempt <= timezone.now()

    assert control.reroute(EVERYTHING, "admin", None) == 1
    assert not message.recipient_set.get().pinned
    first, second = Event.objects.order_by("id")
    assert first.data == {"actor": "admin", "reason": "to relay:other.test:25: broken"}
    assert second.data == {"actor": "admin", "reason": "back to normal"}


def test_another_expiry_brings_the_deciding_attempt_forward_and_never_back():
    now = timezone.now()
    message = make_message("a@example.test")
    message.recipient_set.update(next_attempt=now + timedelta(hours=2))

    assert control.expire_at(EVERYTHING, "admin", now + timedelta(hours=1)) == 1
    row = message.recipient_set.get()
    assert row.expires_at == row.next_attempt == now + timedelta(hours=1)

    assert control.expire_at(EVERYTHING, "admin", now + timedelta(days=9)) == 1
    row.refresh_from_db()
    assert row.expires_at == now + timedelta(days=9)
    assert row.next_attempt == now + timedelta(hours=1)
