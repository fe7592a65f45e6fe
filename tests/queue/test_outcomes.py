"""What became of a batch, written at once and only by those who still hold it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mta.models import Attempt, Lease, Message, Recipient, State, Tally
from mta.queue import lease, outcomes
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.outcomes import Entry, Settlement
from tests.queue.rows import make_message
from tests.queue.test_lease import addresses, claim, expire
from tests.support.threads import Beside, beside, waiting_for_locks
from tests.support.waiting import eventually


def settlement(recipient: LeasedRecipient, **fields: Any) -> Settlement:
    values = {
        "recipient_id": recipient.id,
        "message_id": recipient.message_id,
        "number": recipient.attempts,
        "state": State.RELAYED,
        "result": Attempt.Result.SENT,
        "reply": "250 2.0.0 ok",
        "remote": "mx.x.example [192.0.2.1]",
        "tls": "TLSv1.3",
        "command": "DATA",
        **fields,
    }
    return Settlement(**values)


def later(recipient: LeasedRecipient, **fields: Any) -> Settlement:
    return settlement(
        recipient,
        state=State.QUEUED,
        result=Attempt.Result.DEFERRED,
        reply="451 4.3.0 later",
        next_attempt=timezone.now() + timedelta(minutes=5),
        **fields,
    )


def settle_all(batch: Batch) -> list[int]:
    return outcomes.record(batch, [settlement(each) for each in batch.recipients])


@pytest.mark.django_db
def test_sent_deferred_and_failed_in_one_batch():
    make_message("sent@x.example", "later@x.example", "failed@x.example")
    batch = claim()
    sent, deferred, failed = batch.recipients
    lease.started(batch, [sent.id])

    settled = outcomes.record(
        batch,
        [
            settlement(sent),
            later(deferred, report="delayed", warned=True),
            settlement(
                failed,
                state=State.FAILED,
                result=Attempt.Result.BOUNCED,
                reply="550 5.1.1 no",
                report="failed",
            ),
        ],
        noted=True,
    )

    assert settled == [sent.id, deferred.id, failed.id]
    rows = {row.address: row for row in Recipient.objects.all()}
    assert rows["sent@x.example"].state == State.RELAYED
    assert rows["sent@x.example"].last_remote == "mx.x.example [192.0.2.1]"
    assert rows["sent@x.example"].finished_at is not None
    assert rows["later@x.example"].state == State.QUEUED
    assert rows["later@x.example"].report == "delayed"
    assert rows["later@x.example"].warn_at is None
    assert rows["later@x.example"].finished_at is None
    assert rows["later@x.example"].next_attempt > timezone.now()
    assert rows["failed@x.example"].report == "failed"
    assert {row.lease_id for row in rows.values()} == {None}
    assert list(Attempt.objects.order_by("id").values_list("result", "number")) == [
        ("sent", 1),
        ("deferred", 1),
        ("bounced", 1),
    ]
    message = Message.objects.get()
    assert (message.pending, message.finished_at) == (1, None)
    assert dict(Tally.objects.values_list("kind", "count")) == {
        "relayed": 1,
        "deferred": 1,
        "bounced": 1,
    }
    assert Lease.objects.count() == 1
    outcomes.record(batch, [], last=True)
    assert not Lease.objects.exists()


@pytest.mark.django_db
def test_nothing_to_write():
    make_message()
    assert outcomes.record(claim(), []) == []


@pytest.mark.django_db
def test_a_worker_that_comes_too_late_changes_nothing():
    make_message("a@x.example", "b@x.example")
    late = claim()
    expire(late)
    lease.reap()
    current = claim()
    before = list(Recipient.objects.order_by("id").values())

    assert settle_all(late) == []
    outcomes.give_back(late, [each.id for each in late.recipients])
    outcomes.reroute(late, [(each.id, "local", "") for each in late.recipients])
    outcomes.record(late, [], last=True)

    assert list(Recipient.objects.order_by("id").values()) == before
    assert Message.objects.get().pending == 2
    assert set(Attempt.objects.values_list("result", flat=True)) == {"interrupted"}
    assert len(settle_all(current)) == 2


@pytest.mark.django_db
def test_a_late_worker_keeps_what_is_still_its_own():
    make_message("a@x.example", "b@x.example")
    batch = claim()
    lost, kept = batch.recipients
    Recipient.objects.filter(id=lost.id).update(state=State.QUEUED, lease=None)
    assert settle_all(batch) == [kept.id]
    assert Message.objects.get().pending == 1


@pytest.mark.django_db
def test_given_back_is_due_again_and_does_not_count():
    make_message("a@x.example")
    batch = claim()
    outcomes.give_back(batch, [batch.recipients[0].id])
    outcomes.record(batch, [], last=True)
    assert [recipient.attempts for recipient in claim().recipients] == [1]
    assert not Attempt.objects.exists()


@pytest.mark.django_db
def test_a_rerouted_recipient_waits_at_its_new_destination():
    make_message("a@x.example", "b@x.example")
    batch = claim()
    outcomes.reroute(batch, [(batch.recipients[0].id, "discard", "discard:")])
    moved = claim("discard")
    assert addresses(moved) == ["a@x.example"]
    assert [recipient.attempts for recipient in moved.recipients] == [1]
    assert claim() is None


@pytest.mark.django_db(transaction=True)
def test_two_workers_finish_the_last_two_recipients_of_a_message_at_once():
    messages = [make_message("a@x.example", "b@y.example") for _ in range(20)]
    batches = [claim(), claim()]
    assert all(len(batch.recipients) == 20 for batch in batches)
    workers = [Beside(lambda batch=batch: settle_all(batch)) for batch in batches]
    assert [len(worker.result()) for worker in workers] == [20, 20]
    for message in messages:
        message.refresh_from_db()
        assert message.pending == 0
        assert message.finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_the_second_worker_waits_for_the_first_and_counts_on_from_there():
    make_message("a@x.example", "b@y.example")
    first, second = claim(), claim()
    with beside(lambda: settle_all(first)):
        waiting = Beside(lambda: settle_all(second))
        assert eventually(waiting_for_locks)
    waiting.result()
    message = Message.objects.get()
    assert (message.pending, message.finished_at is None) == (0, False)


@pytest.mark.django_db(transaction=True)
def test_outcomes_are_written_even_when_another_locks_the_other_way_round():
    """Losing them would mean to deliver again."""
    message = make_message("a@x.example")
    batch = claim()

    def lock_message_then_recipient() -> None:
        Message.objects.select_for_update().get(id=message.id)

    with beside(lock_message_then_recipient):
        writing = Beside(lambda: settle_all(batch))
        assert eventually(waiting_for_locks)
    assert writing.result() == [batch.recipients[0].id]


@pytest.mark.django_db
def test_batches_that_end_together_are_written_together_each_under_its_own_lease():
    make_message("a@x.example", "b@y.example", "c@z.example")
    late, *others = [claim() for _ in range(3)]
    expire(late)
    lease.reap()
    entries = [
        Entry(batch, [settlement(each) for each in batch.recipients], last=True)
        for batch in (late, *others)
    ]
    recorded = outcomes.record_all(entries)
    assert [len(each.settled) for each in recorded] == [0, 1, 1]
    assert not Lease.objects.exists()
    assert Message.objects.get().pending == 1
    sent = Attempt.objects.filter(result="sent")
    assert set(sent.values_list("nexthop", flat=True)) == {batch.nexthop for batch in others}


@pytest.mark.django_db
def test_one_batch_starts_while_another_ends():
    make_message("a@x.example", "b@y.example", "c@z.example")
    late, ending, starting = [claim() for _ in range(3)]
    expire(late)
    lease.reap()
    ids = {batch: [each.id for each in batch.recipients] for batch in (late, starting)}
    recorded = outcomes.record_all(
        [
            Entry(late, starting=ids[late]),
            Entry(ending, [settlement(ending.recipients[0])], last=True),
            Entry(starting, starting=ids[starting]),
        ]
    )
    assert [list(each.started) for each in recorded] == [[], [], ids[starting]]
    assert dict(Attempt.objects.values_list("recipient_id", "result")) == {
        ids[late][0]: "interrupted",
        ending.recipients[0].id: "sent",
        ids[starting][0]: "started",
    }
