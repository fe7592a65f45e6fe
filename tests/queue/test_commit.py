"""Messages become durable here, each wholly or not at all."""

from dataclasses import replace

import pytest
from django.db import IntegrityError, connection, transaction

from mta.models import Content, Event, Message, Recipient, Refusal, State, Tally
from mta.queue import commit
from tests.queue.submissions import refusal, routed, submission
from tests.support.smtp_session import database_away
from tests.support.threads import Beside


@pytest.mark.django_db
def test_a_batch_with_refusals_is_written_whole():
    first, second = submission("a@example.test", "b@example.test"), submission()
    commit.commit([first, second], [refusal(), refusal(reverse_path="")])

    assert set(Message.objects.values_list("id", "pending")) == {(first.id, 2), (second.id, 1)}
    assert Recipient.objects.count() == 3
    assert bytes(Content.objects.get(message_id=first.id).data) == first.content
    assert set(Event.objects.values_list("message_id", "kind")) == {
        (first.id, "accepted"),
        (second.id, "accepted"),
    }
    assert list(Refusal.objects.order_by("id").values_list("reverse_path", flat=True)) == [None, ""]
    assert dict(Tally.objects.values_list("kind", "count")) == {"accepted": 2, "refused": 2}


@pytest.mark.django_db
def test_refusals_alone_and_nothing_at_all():
    commit.commit([])
    commit.commit([], [refusal()])
    assert Refusal.objects.count() == 1
    assert not Tally.objects.filter(kind="accepted").exists()


@pytest.mark.django_db
def test_a_message_with_expanded_recipients_only_is_finished():
    list_only = routed("team@example.test", state=State.EXPANDED, transport="")
    commit.commit([submission(recipients=(list_only,))])
    message = Message.objects.get()
    assert (message.pending, message.finished_at) == (0, message.created_at)
    assert Recipient.objects.get().finished_at == message.created_at


@pytest.mark.django_db
def test_text_that_the_database_would_choke_on():
    commit.commit(
        [submission(subject="a\0b\udcff", header_message_id="<\0@x>")],
        [refusal(helo="x\0y", recipient="\udce4@x.example")],
    )
    assert Message.objects.get().subject == "ab?"
    assert Refusal.objects.get().helo == "xy"


@pytest.mark.django_db(transaction=True)
def test_a_poisoned_message_does_not_take_its_neighbours():
    good, bad, other = submission(), submission(), submission()
    poisoned = replace(bad, accepted={"text": "\0"})
    known = replace(submission(), id=good.id)

    results = commit.commit_each([good, poisoned, known, other], [refusal(), refusal(text="x")])

    assert [result is None for result in results] == [True, False, False, True]
    assert isinstance(results[2], IntegrityError)
    assert set(Message.objects.values_list("id", flat=True)) == {good.id, other.id}
    assert Content.objects.count() == Recipient.objects.count() == 2
    assert Refusal.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_refusal_that_cannot_be_stored_costs_no_message():
    results = commit.commit_each([submission()], [refusal(session={"text": "\0"}), refusal()])
    assert results == [None]
    assert (Message.objects.count(), Refusal.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_with_the_database_away_everybody_hears_of_it():
    with database_away():
        results = Beside(lambda: commit.commit_each([submission(), submission()])).result()
    assert [result is None for result in results] == [False, False]
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_commit_waits_for_the_disk():
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


@pytest.mark.django_db(transaction=True)
def test_an_origin_is_queued_once_however_many_try():
    def attempt() -> int:
        mine = submission(origin="dsn 1")
        try:
            commit.enqueue(mine)
        except commit.AlreadyQueued as known:
            return known.message_id
        return mine.id

    tries = [Beside(attempt) for _ in range(4)]
    assert len({each.result() for each in tries}) == 1
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_origin_whose_transaction_is_undone_may_come_again():
    class Undo(Exception):
        pass

    with pytest.raises(Undo), transaction.atomic():
        commit.enqueue(submission(origin="dsn 1"))
        raise Undo
    assert not Message.objects.exists()
    commit.enqueue(submission(origin="dsn 1"))
    assert Message.objects.count() == 1
