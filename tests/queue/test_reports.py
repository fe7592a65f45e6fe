"""Reports that are due: once for a message, when all of its recipients were tried."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from mta.models import Event, Recipient, State
from mta.queue import reports
from tests.queue.rows import add_recipient, make_message
from tests.support.threads import Beside, beside, waiting_for_locks
from tests.support.waiting import eventually


@pytest.fixture
def failed():
    """A message with one recipient that failed and whose sender is to hear of it."""
    message = make_message("bad@x.example", content=b"Subject: lost\r\n\r\n")
    message.recipient_set.update(state=State.FAILED, attempts=1, report="failed")
    return message


@pytest.mark.django_db
def test_a_report_is_due_with_its_recipients_and_content(failed):
    add_recipient(failed, "fine@x.example", state=State.RELAYED, attempts=1)
    due = reports.claim_due()
    assert due.message == failed
    assert [recipient.address for recipient in due.recipients] == ["bad@x.example"]
    assert due.content == b"Subject: lost\r\n\r\n"

    reports.done(due, "0000000000abc", timezone.now())
    assert reports.claim_due() is None
    event = Event.objects.get()
    assert (event.kind, event.data) == (
        "dsn",
        {"queue_id": "0000000000abc", "reports": {"bad@x.example": "failed"}},
    )


@pytest.mark.django_db
def test_a_report_waits_for_recipients_that_are_about_to_be_tried(failed):
    untried = add_recipient(failed, "untried@x.example")
    assert reports.claim_due() is None
    Recipient.objects.filter(id=untried.id).update(state=State.DELIVERING, attempts=1)
    assert reports.claim_due() is None
    Recipient.objects.filter(id=untried.id).update(state=State.QUEUED, attempts=1)
    assert reports.claim_due() is not None


@pytest.mark.django_db
@pytest.mark.parametrize("state", [State.HELD, State.QUEUED])
def test_a_report_does_not_wait_for_what_may_take_long(failed, state):
    hour = timezone.now() + timedelta(hours=1)
    add_recipient(failed, "slow@x.example", state=state, next_attempt=hour)
    assert reports.claim_due() is not None


@pytest.mark.django_db
def test_a_report_that_nobody_wants_is_done_without_a_trace(failed):
    reports.done(reports.claim_due(), "", timezone.now())
    assert reports.claim_due() is None
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_report_the_same_message(failed):
    with beside(reports.claim_due), transaction.atomic():
        assert reports.claim_due() is None


@pytest.mark.django_db(transaction=True)
def test_a_failure_that_follows_on_a_delay_at_this_moment_is_not_lost():
    """The delay is being reported while the recipient fails: both reports are sent."""
    message = make_message("late@x.example")
    message.recipient_set.update(attempts=1, report="delayed")

    def fail() -> None:
        message.recipient_set.update(state=State.FAILED, report="failed")

    with transaction.atomic():
        delay = reports.claim_due()
        failing = Beside(fail)
        eventually(lambda: waiting_for_locks() or not failing.is_running)
        reports.done(delay, "0000000000abc", timezone.now())
    failing.result()

    with transaction.atomic():
        failure = reports.claim_due()

    assert [recipient.report for recipient in delay.recipients] == ["delayed"]
    assert [recipient.report for recipient in failure.recipients] == ["failed"]


@pytest.mark.django_db(transaction=True)
def test_a_recipient_that_is_being_settled_is_reported_another_time(failed):
    def settling() -> None:
        failed.recipient_set.update(report="failed")

    with beside(settling), transaction.atomic():
        assert reports.claim_due() is None
