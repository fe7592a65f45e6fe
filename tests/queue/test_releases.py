"""Mail that is held for a while, seen through the queue."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from mta.models import Event, State, TimedRelease
from mta.queue import control, releases
from mta.queue.control import Selection
from tests.queue.rows import make_message

PAST = timezone.now() - timedelta(seconds=5)
LATER = timezone.now() + timedelta(days=300)


def held(**fields):
    message = make_message(**fields)
    message.recipient_set.update(state=State.HELD)
    return message


def state(message):
    return message.recipient_set.get().state


@pytest.mark.django_db
def test_what_is_due_is_released_and_the_timeline_says_by_whom():
    due, waiting = held(), held()
    releases.plan(due.id, PAST, "rate")
    releases.plan(waiting.id, LATER, "rate", "ann")

    assert releases.release_due() == 1

    assert (state(due), state(waiting)) == (State.QUEUED, State.HELD)
    assert Event.objects.get(kind="released").data["actor"] == "site filter rate"
    assert releases.release_due() == 0
    assert [(w.sender, w.messages) for w in releases.waiting()] == [("ann", 1)]


@pytest.mark.django_db
def test_of_two_plans_the_later_one_counts():
    message = held()
    releases.plan(message.id, LATER, "rate")
    releases.plan(message.id, PAST, "other")
    assert releases.release_due() == 0


@pytest.mark.django_db
def test_a_plan_waits_for_its_message_to_come_and_not_for_ever():
    message = make_message()
    absent = message.id + 1
    releases.plan(absent, PAST, "rate")
    assert releases.release_due() == 0
    assert TimedRelease.objects.count() == 1

    late = held(id=absent)
    assert releases.release_due() == 1
    assert state(late) == State.QUEUED

    releases.plan(absent + 1000, PAST - timedelta(days=2), "rate")
    releases.release_due()
    assert not TimedRelease.objects.exists()


@pytest.mark.django_db
def test_what_an_administrator_has_released_or_cancelled_is_not_told_to_wait():
    message = held()
    releases.plan(message.id, LATER, "rate", "ann")
    control.release(Selection(message_ids=(message.id,)), "admin")
    assert releases.waiting() == []


@pytest.mark.django_db(transaction=True)
def test_several_processes_release_each_message_once():
    messages = [held() for _ in range(20)]
    for message in messages:
        releases.plan(message.id, PAST, "rate")
    released = []

    def process():
        released.append(releases.release_due())
        connection.close()

    threads = [threading.Thread(target=process) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(released) == 20
    assert Event.objects.filter(kind="released").count() == 20
