"""From an outcome to the recipient's new life, case by case."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mta.models import Attempt, State
from mta.protocol.reply import Reply
from mta.queue.lease import LeasedRecipient
from mta.queue.outcomes import Settlement
from mta.scheduler.backoff import Backoff
from mta.scheduler.settle import Judge, bounced, deferred
from mta.transports.base import Done, Outcome, Result

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SENT = Outcome(
    1, Result.SENT, Reply(250, "2.0.0", "ok"), remote="mx", tls="TLSv1.3", command="DATA"
)
BOUNCED = bounced(1, Reply(550, "5.1.1", "no"))
DEFERRED = deferred(1, "later")


def settle(
    outcome: Outcome, done: Done = Done.RELAYED, backuprelay: str = "", **fields: Any
) -> Settlement:
    values: dict[str, Any] = {
        "id": 1,
        "message_id": 2,
        "address": "bob@x.example",
        "original_recipient": "",
        "notify": "",
        "attempts": 1,
        "expires_at": NOW + HOUR,
        "warn_at": NOW + HOUR,
        "created_at": NOW - HOUR,
        "reverse_path": "alice@example.org",
        "ret": "",
        "envid": "",
        "smtputf8": False,
        "eight_bit": False,
        "size": 10,
        **fields,
    }
    return Judge(done, lambda address: Backoff(), NOW, backuprelay).settle(
        LeasedRecipient(**values), outcome
    )


@pytest.mark.parametrize(
    ("done", "state"),
    [
        (Done.DELIVERED, State.DELIVERED),
        (Done.RELAYED, State.RELAYED),
        (Done.DISCARDED, State.DISCARDED),
    ],
)
def test_sent(done, state):
    settled = settle(SENT, done)
    assert (settled.state, settled.result, settled.report) == (state, Attempt.Result.SENT, "")
    assert settled.next_attempt is None
    assert settled.reply == "250 2.0.0 ok"
    assert (settled.remote, settled.tls, settled.command) == ("mx", "TLSv1.3", "DATA")
    assert (settled.recipient_id, settled.message_id, settled.number) == (1, 2, 1)


@pytest.mark.parametrize(
    ("done", "final", "notify", "report"),
    [
        (Done.DELIVERED, True, "SUCCESS", "delivered"),
        (Done.DELIVERED, True, "FAILURE,SUCCESS", "delivered"),
        (Done.DELIVERED, True, "FAILURE,DELAY", ""),
        (Done.DELIVERED, True, "NEVER", ""),
        (Done.DELIVERED, True, "", ""),
        (Done.RELAYED, True, "SUCCESS", ""),
        (Done.RELAYED, False, "SUCCESS", "relayed"),
        (Done.RELAYED, False, "", ""),
        (Done.DISCARDED, True, "SUCCESS", ""),
    ],
)
def test_the_report_of_a_success(done, final, notify, report):
    """RFC 3461 5.2.2: a peer that does DSN reports for itself, for another we say relayed."""
    outcome = Outcome(1, Result.SENT, Reply(250, "2.0.0", "ok"), final=final)
    assert settle(outcome, done, notify=notify).report == report


@pytest.mark.parametrize(
    ("notify", "report"),
    [
        ("", "failed"),
        ("FAILURE", "failed"),
        ("SUCCESS,FAILURE,DELAY", "failed"),
        ("SUCCESS", ""),
        ("DELAY", ""),
        ("NEVER", ""),
    ],
)
def test_the_report_of_a_failure(notify, report):
    settled = settle(BOUNCED, notify=notify)
    assert (settled.state, settled.result) == (State.FAILED, Attempt.Result.BOUNCED)
    assert (settled.report, settled.next_attempt) == (report, None)
    expired = settle(DEFERRED, notify=notify, expires_at=NOW)
    assert (expired.state, expired.result) == (State.EXPIRED, Attempt.Result.DEFERRED)
    assert (expired.report, expired.next_attempt) == (report, None)


def test_deferred():
    settled = settle(DEFERRED, attempts=3)
    assert (settled.state, settled.result) == (State.QUEUED, Attempt.Result.DEFERRED)
    assert settled.next_attempt == NOW + timedelta(minutes=30)
    assert (settled.report, settled.warned) == ("", False)
    assert settled.reply == "451 4.3.0 later"


@pytest.mark.parametrize(
    ("warn_at", "notify", "report", "warned"),
    [
        (NOW, "", "delayed", True),
        (NOW - HOUR, "DELAY", "delayed", True),
        (NOW, "FAILURE", "", True),
        (NOW, "NEVER", "", True),
        (NOW + HOUR, "DELAY", "", False),
        (None, "DELAY", "", False),
    ],
)
def test_the_warning_of_a_delay_is_given_once(warn_at, notify, report, warned):
    settled = settle(DEFERRED, warn_at=warn_at, notify=notify)
    assert (settled.report, settled.warned) == (report, warned)


def test_success_and_failure_do_not_care_about_the_time():
    assert settle(SENT, expires_at=NOW - HOUR).state is State.RELAYED
    assert settle(BOUNCED, expires_at=NOW - HOUR).state is State.FAILED


def test_the_backup_relay_takes_over_at_warntime_and_nobody_is_warned():
    relay = "relay:backup.example:25"
    late = {"warn_at": NOW - HOUR}
    settled = settle(DEFERRED, backuprelay=relay, **late)
    assert (settled.pin, settled.next_attempt, settled.report) == (relay, NOW, "")
    assert settled.warned
    # It takes over once; what it defers itself is retried by the formula.
    again = settle(DEFERRED, backuprelay=relay, pinned=True, **late)
    assert (again.pin, again.report) == ("", "delayed")
    assert again.next_attempt > NOW
    assert settle(DEFERRED, backuprelay=relay).pin == ""
