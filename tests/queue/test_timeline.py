"""The timeline reads as a story: connection, decisions, queued, attempts, what people did."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Attempt, Event, State
from mta.queue import control
from mta.queue.control import Selection
from mta.queue.history import message_summary, timeline
from tests.queue.rows import finish, make_message

pytestmark = pytest.mark.django_db


def accepted_data(at):
    def decision(stage, subject, verdict, rule, detail="", reply="250 2.1.0 ok"):
        steps = [
            {"rule": "earlier", "matched": False, "detail": "not this one"},
            {"rule": rule, "matched": True, "detail": detail},
        ]
        return {
            "at": at.isoformat(),
            "stage": stage,
            "subject": subject,
            "verdict": verdict,
            "rule": rule,
            "reply": reply,
            "version": 7,
            "steps": steps,
        }

    return {
        "session": {
            "client_ip": "192.0.2.7",
            "helo": "client.example.org",
            "tls": "TLSv1.3",
            "listener": "smtp",
            "auth_user": "",
        },
        "decisions": [
            decision("mail", "", "accept", "default"),
            decision("rcpt", "bob@x.test", "accept", "mailbox", "a mailbox here"),
            decision("rcpt", "eve@x.test", "refuse", "unknown", "", "550 5.1.1 no such user"),
        ],
        "size": 4096,
        "sha256": "ab" * 32,
    }


@pytest.fixture
def message():
    at = timezone.now() - timedelta(hours=1)
    message = make_message("bob@x.test", created_at=at)
    Event.objects.create(at=at, message=message, kind="accepted", data=accepted_data(at))
    return message


def add_attempt(message, result, **fields):
    recipient = message.recipient_set.get()
    at = message.created_at + timedelta(seconds=fields.get("number", 1))
    return Attempt.objects.create(
        message=message,
        recipient=recipient,
        started_at=at,
        finished_at=None if result == Attempt.Result.STARTED else at,
        result=result,
        **{"number": 1, "transport": "esmtp", "nexthop": "mx:x.test", **fields},
    )


def test_the_first_event_becomes_a_session_decisions_and_queued(message):
    entries = timeline(message.id)
    assert [entry.sentence for entry in entries] == [
        "Connection from 192.0.2.7 to smtp, HELO client.example.org, TLSv1.3",
        "MAIL FROM <>: accepted",
        "RCPT TO bob@x.test: accepted: a mailbox here (rule mailbox)",
        "RCPT TO eve@x.test: refused: 550 5.1.1 no such user (rule unknown)",
        f"Queued as {message.queue_id} (4,096 octets).",
    ]
    assert entries[2].recipient == "bob@x.test"
    assert entries[2].detail["version"] == 7
    assert entries[-1].detail == {"size": 4096, "sha256": "ab" * 32}


def test_attempts_say_what_the_peer_said_and_when_the_next_is(message):
    add_attempt(
        message,
        Attempt.Result.DEFERRED,
        number=1,
        remote="mx.x.test [192.0.2.25]",
        reply="451 4.7.1 later",
        next_attempt=message.created_at + timedelta(minutes=5),
    )
    add_attempt(
        message, Attempt.Result.SENT, number=2, remote="mx.x.test", reply="250 ok", tls="TLSv1.3"
    )

    deferred, sent = timeline(message.id)[-2:]

    assert deferred.kind == "deferred"
    assert deferred.recipient == "bob@x.test"
    assert deferred.sentence.startswith(
        "Attempt 1 deferred by mx.x.test [192.0.2.25]: 451 4.7.1 later; next attempt at 2"
    )
    assert sent.sentence == "Sent to mx.x.test over TLSv1.3: 250 ok"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Attempt.Result.STARTED, "under way"),
        (Attempt.Result.UNCERTAIN, "may have the message"),
        (Attempt.Result.INTERRUPTED, "interrupted"),
        (Attempt.Result.BOUNCED, "Refused for good by mx:x.test: 550 no"),
    ],
)
def test_every_result_has_a_sentence(message, result, words):
    add_attempt(message, result, reply="550 no")
    assert words in timeline(message.id)[-1].sentence


def test_what_people_did_names_them_and_their_reason(message):
    control.hold(Selection(), "admin", "looks odd")
    control.cancel(Selection(), "admin", "spam run")
    assert [entry.sentence for entry in timeline(message.id)[-2:]] == [
        "Held by admin: looks odd",
        "Cancelled by admin: spam run",
    ]


def test_an_event_of_another_kind_is_told_in_its_own_words(message):
    Event.objects.create(
        at=timezone.now(), message=message, kind="new_thing", data={"word": "x", "nil": None}
    )
    assert timeline(message.id)[-1].sentence == "New thing: word x"


def test_a_report_to_the_sender_names_its_message(message):
    data = {"queue_id": "0000000000abc", "reports": {"bob@x.test": "failed"}}
    Event.objects.create(at=timezone.now(), message=message, kind="dsn", data=data)
    assert timeline(message.id)[-1].sentence == (
        "The sender was told in message 0000000000abc: bob@x.test failed"
    )


@pytest.mark.parametrize(("data", "words"), [({}, "again"), ({"uncertain": True}, "may have it")])
def test_a_lost_worker_is_told(message, data, words):
    Event.objects.create(at=timezone.now(), message=message, kind="lease_expired", data=data)
    assert timeline(message.id)[-1].sentence.endswith(words)


@pytest.mark.parametrize(
    ("source", "words"),
    [("local", "program on this host"), ("dsn", "report on another"), ("forward", "Sent on")],
)
def test_mail_made_here_says_so(source, words):
    message = make_message()
    data = {"session": {"source": source, "auth_user": ""}}
    Event.objects.create(at=timezone.now(), message=message, kind="accepted", data=data)
    assert words in timeline(message.id)[0].sentence


def test_half_written_data_never_breaks_the_page():
    message = make_message()
    for data in ({}, {"decisions": [{"at": "garbage"}]}, {"session": {}, "size": None}):
        Event.objects.create(at=timezone.now(), message=message, kind="accepted", data=data)
    assert timeline(message.id)


def test_the_summary_has_recipients_and_knows_whether_content_is_stored(message):
    summary = message_summary(message.id)
    assert summary is not None
    assert summary.queue_id == message.queue_id
    assert summary.has_content
    assert [row.state for row in summary.recipients] == ["queued"]

    finish(message, timezone.now(), State.DELIVERED)
    summary = message_summary(message.id)
    assert summary is not None
    assert summary.finished_at is not None


def test_an_unknown_message_is_nothing():
    assert message_summary(5) is None
    assert timeline(5) == []
