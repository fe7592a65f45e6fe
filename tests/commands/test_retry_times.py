"""retrytimes, retryoverride and reporttext: what differs for a domain, and what will happen."""

from datetime import datetime, timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from mta import runtime
from mta.models import Destination, Domain, PolicyChange, ReportText, RetryOverride
from mta.models import Recipient as Row
from mta.protocol.envelope import Envelope, Recipient, Source
from tests.queue.rows import finish, make_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_directory")]


def minutes(forecast) -> list[int]:
    times = [datetime.fromisoformat(text) for text in forecast["times"]]
    return [round((at - times[0]).total_seconds() / 60) for at in times]


def test_an_address_is_told_by_couriers_formula(listed, run):
    (forecast,) = listed("retrytimes", "bob@far.test", "--most", "10")
    assert minutes(forecast) == [0, 5, 10, 40, 45, 50, 110, 115, 120, 240]
    assert (forecast["transport"], forecast["nexthop"]) == ("esmtp", "mx:far.test")
    assert not forecast["complete"]
    assert "and so on" in run("retrytimes", "bob@far.test")


def test_overrides_of_transport_and_domain_win_field_by_field(listed, run):
    run("retryoverride", "set", "transport", "esmtp", "--retryalpha", "1m", "--queuetime", "1h")
    run("retryoverride", "set", "domain", ".Far.test", "--retryalpha", "2m", "--retrybeta", "2")
    run("retryoverride", "set", "domain", "x.far.test", "--retrygamma", "5m")

    (forecast,) = listed("retrytimes", "bob@x.far.test")
    assert minutes(forecast) == [0, 2, 12, 14, 34, 36, 76]
    assert forecast["complete"]

    (forecast,) = listed("retrytimes", "bob@other.test", "--most", "4")
    assert minutes(forecast) == [0, 1, 2, 32]

    names = [(row["scope"], row["name"]) for row in listed("retryoverride", "list")]
    assert names == [("domain", ".far.test"), ("domain", "x.far.test"), ("transport", "esmtp")]
    run("retryoverride", "set", "domain", ".far.test", "--unset", "retryalpha")
    assert "retryalpha" not in RetryOverride.objects.get(name=".far.test").times
    run("retryoverride", "remove", "domain", "X.far.test")
    assert PolicyChange.objects.filter(table="mta_retryoverride").count() == 5


def test_a_message_is_told_recipient_by_recipient(listed, run):
    due = timezone.now() + timedelta(minutes=3)
    message = make_message("a@far.test", "b@far.test")
    message.recipient_set.filter(address="a@far.test").update(attempts=2, next_attempt=due)
    message.recipient_set.filter(address="b@far.test").update(state="held")
    a, b = listed("retrytimes", message.queue_id, "--most", "3")
    assert datetime.fromisoformat(a["times"][0]) == due
    assert minutes(a) == [0, 30, 35]
    assert (b["state"], minutes(b)) == ("held", [0, 5, 10])

    finish(message, timezone.now())
    with pytest.raises(CommandError, match="any more"):
        run("retrytimes", message.queue_id)


def test_a_message_for_a_host_that_is_down_waits_for_its_probe(listed):
    probe = timezone.now() + timedelta(minutes=4)
    message = make_message("a@far.test")
    recipient = message.recipient_set.get()
    Destination.objects.create(
        transport=recipient.transport,
        nexthop=recipient.nexthop,
        state=Destination.State.DOWN,
        next_probe=probe,
    )
    (forecast,) = listed("retrytimes", message.queue_id, "--most", "2")
    assert datetime.fromisoformat(forecast["times"][0]) == probe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("retrytimes", "bob@"), "bob@"),
        (("retrytimes", "rubbish!"), "queue id"),
        (("retrytimes", "bob@x.test", "--most", "0"), "--most"),
        (("retryoverride", "set", "domain", "no domain"), "valid name"),
        (("retryoverride", "set", "transport", "es mtp"), "no name of a transport"),
        (("retryoverride", "set", "domain", "x.test", "--retryalpha", "soon"), "--retryalpha"),
        (("retryoverride", "set", "domain", "x.test", "--retrybeta", "0"), "greater than"),
        (("retryoverride", "set", "domain", "x.test", "--retrybeta", "-1"), "greater than"),
        (("retryoverride", "remove", "domain", "x.test"), "no times of its own"),
        (("reporttext", "set", "greeting", "{hostname"), "braces"),
        (("reporttext", "set", "greeting", "{hostname.__class__}"), "cannot be used"),
        (("reporttext", "set", "greeting", "{queue_id}"), "cannot be used"),
        (("reporttext", "set", "subject_failed", "one\ntwo"), "one line"),
        (("reporttext", "set", "greeting", "  "), "empty"),
        (("reporttext", "preview", "greeting", "{}"), "cannot be used"),
        (("reporttext", "remove", "greeting"), "already"),
    ],
)
def test_senseless_words_are_refused_and_change_nothing(run, arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not RetryOverride.objects.exists()
    assert not ReportText.objects.exists()


def test_a_text_is_replaced_previewed_and_given_back(run, listed):
    assert "mail.example.com says hello" in run(
        "reporttext", "set", "greeting", "{hostname} says hello"
    )
    assert run("reporttext", "preview", "greeting") == "mail.example.com says hello\n"
    assert [row["name"] for row in listed("reporttext", "list") if row["replaced"]] == ["greeting"]
    run("reporttext", "remove", "greeting")
    assert not ReportText.objects.exists()


def test_mail_for_the_domain_gets_its_times_when_it_comes(run):
    Domain.objects.create(name="here.test", kind="hosted")
    run("retryoverride", "set", "domain", "far.test", "--queuetime", "1h", "--warntime", "0")
    envelope = Envelope(
        "a@here.test", (Recipient("b@far.test"), Recipient("c@x.test")), Source.LOCAL
    )
    runtime.queue_message(envelope, b"Subject: x\r\n\r\nx\r\n")
    far, other = Row.objects.order_by("address")
    assert far.expires_at - far.next_attempt == timedelta(hours=1)
    assert far.warn_at is None
    assert other.expires_at - other.next_attempt == timedelta(days=5)
