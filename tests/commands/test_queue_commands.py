"""mailq, trace, flush, hold, release, cancelmsg and status."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from mta.models import Event, Heartbeat, Recipient, State
from mta.protocol.queue_id import encode_queue_id
from tests.queue.rows import add_recipient, finish, make_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_broker")]

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def no_broker(monkeypatch):
    """Nobody is called: what these commands change is seen in the database."""
    nudged: list[object] = []
    monkeypatch.setattr("mta.runtime.nudge", lambda names=None: nudged.append(names))
    return nudged


@pytest.fixture
def message():
    message = make_message(
        "bob@x.test", created_at=AT, reverse_path="ann@y.test", content=b"x" * 2048
    )
    add_recipient(message, "done@x.test", state=State.DELIVERED, last_reply="250 2.0.0 ok")
    add_recipient(
        message, "late@x.test", state=State.HELD, attempts=3, last_reply="451 4.4.1 \x1b[31m"
    )
    return message


def test_mailq_as_json_is_the_contract(message, listed):
    (shown,) = listed("mailq")
    assert shown["queue_id"] == message.queue_id
    assert shown["reverse_path"] == "ann@y.test"
    bob, done, late = shown["recipients"]
    assert bob == {
        "address": "bob@x.test",
        "state": "queued",
        "attempts": 0,
        "next_attempt": AT.isoformat(),
        "last_reply": "",
    }
    assert (done["state"], late["state"], late["attempts"]) == ("delivered", "held", 3)


def test_mailq_for_people(message, run):
    lines = run("mailq").splitlines()
    assert lines == [
        f"2.0K            {message.queue_id:<40}Jan 02 03:04",
        "                ann@y.test",
        "                bob@x.test",
        "done            done@x.test",
        "held            late@x.test",
        "                (451 4.4.1 ?[31m)",
        "",
        "   1 messages.",
    ]


def test_mailq_for_programs(message, run):
    make_message("a;b@x.test", created_at=AT + timedelta(hours=1), reverse_path="")
    first, second, summary = run("mailq", "--batch", "--sort").splitlines()
    seconds = int(AT.timestamp())
    assert first == (
        f"2048;{message.queue_id};{seconds};;ann@y.test;;bob@x.test;done;done@x.test;held;late@x.test"
    )
    assert second.endswith(r";;;;a\;b@x.test")
    assert summary == "messages: 2"


def test_an_empty_queue(run, listed):
    assert run("mailq") == "   0 messages.\n"
    assert listed("mailq") == []


def test_trace_tells_the_story(message, run, listed):
    Event.objects.create(
        at=AT,
        message=message,
        kind="accepted",
        data={"session": {"client_ip": "192.0.2.7"}, "size": 5},
    )
    run("hold", message.queue_id, "--reason", "looks odd")

    told = listed("trace", message.queue_id)
    assert told["queue_id"] == message.queue_id
    assert [row["address"] for row in told["recipients"]] == [
        "bob@x.test",
        "done@x.test",
        "late@x.test",
    ]
    assert [event["kind"] for event in told["events"]] == ["session", "queued", "held"]
    assert told["events"][-1]["recipient"] == "bob@x.test"

    story = run("trace", message.queue_id.upper())
    assert f"Queued as {message.queue_id}" in story
    assert "bob@x.test: Held by cli:" in story


@pytest.mark.parametrize("command", ["trace", "flush", "hold", "release", "cancelmsg"])
@pytest.mark.parametrize("queue_id", ["nonsense", encode_queue_id(77)])
def test_an_unknown_message_is_an_error(run, command, queue_id):
    with pytest.raises(CommandError, match="not a queue id|no message"):
        run(command, queue_id)


def test_flush_hold_release_of_one_message_or_all(message, run, no_broker):
    make_message("other@x.test", created_at=timezone.now() + timedelta(hours=1))
    assert run("flush", message.queue_id) == "1 recipient due now\n"
    assert run("flush") == "2 recipients due now\n"
    assert run("hold", message.queue_id) == "1 recipient held\n"
    assert run("release", message.queue_id) == "2 recipients released\n"
    assert run("hold", "--all") == "3 recipients held\n"
    assert run("release", "--all") == "3 recipients released\n"
    assert len(no_broker) == 4


@pytest.mark.parametrize("arguments", [("hold",), ("release",), ("hold", "x", "--all")])
def test_the_whole_queue_must_be_meant(run, message, arguments):
    with pytest.raises(CommandError, match="--all"):
        run(*arguments)


def test_cancelmsg_gives_the_reason_and_asks_for_the_report(message, run, no_broker):
    assert run("cancelmsg", message.queue_id, "sent", "by", "mistake") == "2 recipients cancelled\n"
    bob = message.recipient_set.get(address="bob@x.test")
    assert (bob.state, bob.last_reply) == ("cancelled", "550 5.7.0 sent by mistake")
    assert no_broker == [["report"]]

    with pytest.raises(CommandError, match="any more"):
        run("cancelmsg", message.queue_id)


def test_trace_says_as_from_whom_mail_was_sent_on(message, run):
    message.recipient_set.update(return_path="SRS0=x@here.test")
    assert "as from SRS0=x@here.test" in run("trace", message.queue_id)


def test_finished_messages_can_be_traced_but_not_cancelled(message, run):
    finish(message, timezone.now())
    assert "delivered" in run("trace", message.queue_id)
    with pytest.raises(CommandError):
        run("cancelmsg", message.queue_id)


def test_status(message, run, listed):
    now = timezone.now()
    Heartbeat.objects.create(part="ingress", host="h", pid=1, started_at=now, at=now)
    old = now - timedelta(minutes=5)
    Heartbeat.objects.create(part="beat", host="h", pid=0, started_at=old, at=old)

    status = listed("status")

    up = {row["part"]: row["up"] for row in status["parts"]}
    assert up == {
        "ingress": True,
        "worker-local": False,
        "worker-remote": False,
        "beat": False,
        "rq": False,
        "submit": False,
        "managesieve": False,
    }
    assert status["queue"] == {"queued": 1, "delivering": 0, "held": 1}
    assert status["policy_version"] >= 1
    assert "queue: 1 queued" in run("status")


def test_json_is_json_whatever_mail_brings(listed, run):
    message = make_message('"\u202e"@x.test', subject='"}\n{', reverse_path="<script>@y.test")
    assert json.dumps(listed("mailq"))
    assert listed("trace", message.queue_id)["subject"] == '"}\n{'
    assert "\u202e" not in run("mailq")


def test_reroute_expiry_and_their_events(message, run, no_broker):
    assert run("reroute", "relay.test:26", message.queue_id) == "2 recipients rerouted\n"
    rows = message.recipient_set.filter(pinned=True)
    assert set(rows.values_list("nexthop", flat=True)) == {"relay:relay.test:26"}
    assert run("reroute", "lmtp:host.test", message.queue_id) == "2 recipients rerouted\n"
    assert set(rows.values_list("transport", "nexthop")) == {("lmtp", "lmtp:host.test:24")}
    assert run("reroute", "normal", message.queue_id) == "2 recipients rerouted\n"
    assert "2 recipients given up after" in run("expiry", "2d", message.queue_id)
    story = run("trace", message.queue_id)
    assert "Rerouted by cli:" in story
    assert "to relay:relay.test:26" in story
    assert "Time to give up was changed by cli:" in story


def test_verbs_act_on_what_matches_and_tell_it_before(message, run, no_broker):
    make_message("eve@other.test", reverse_path="news@y.test")
    both = ("--match", "recipient=@x.test", "--match", "state=queued")
    before = set(Recipient.objects.values_list("address", "state"))
    for verb in (("hold",), ("flush",), ("cancelmsg",), ("reroute", "discard"), ("expiry", "1h")):
        assert run(*verb, *both, "--dry-run").startswith("1 recipient would be ")
    assert set(Recipient.objects.values_list("address", "state")) == before
    assert run("hold", "--match", "sender=news@") == "1 recipient held\n"
    assert run("release", "--match", "sender=news@") == "1 recipient released\n"
    assert run("cancelmsg", "--match", "sender=news@", "no", "news") == "1 recipient cancelled\n"
    assert Recipient.objects.get(state="cancelled").last_reply == "550 5.7.0 no news"
    with pytest.raises(CommandError, match="what matches"):
        run("cancelmsg", "--match", "sender=news@")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hold", "--match", "sender="), "--match"),
        (("hold", "--match", "colour=red"), "--match"),
        (("hold", "--match", "sender=a", "--match", "sender=b"), "once"),
        (("hold", "--match", "state=gone"), "state"),
        (("hold", "--match", "age=old"), "age"),
        (("hold", "--all", "--match", "sender=a"), "--all"),
        (("cancelmsg",), "--match"),
        (("reroute", "bad host", "--all"), "HOST"),
        (("reroute", "host.test/TLS", "--all"), "REQUIRED"),
        (("reroute", "mx:bad domain", "--all"), "mx:"),
        (("reroute", "pipe:No Name", "--all"), "not a name"),
        (("expiry", "soon", "--all"), "duration"),
    ],
)
def test_an_order_that_cannot_be_meant_does_nothing(run, message, arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not Event.objects.exists()
