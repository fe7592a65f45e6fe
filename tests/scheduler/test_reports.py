"""DSNs are queued once, in the transaction that clears their marks."""

import pytest
from django.utils import timezone

from mta import runtime
from mta.models import Content, Domain, Event, Mailbox, Message, Recipient, State
from mta.protocol.dsn_text import Wording
from mta.scheduler import reports
from mta.transports import dsn
from tests.queue.rows import add_recipient, make_message
from tests.support.threads import Beside


@pytest.fixture(autouse=True)
def here(transactional_db):
    """alice@example.org has her mailbox here."""
    runtime.directory.cache_clear()
    domain = Domain.objects.create(name="example.org")
    Mailbox.objects.create(domain=domain, local_part="alice")
    yield
    runtime.directory.cache_clear()


def send() -> int:
    runtime.directory().refresh()
    style = reports.Style("mail.example.test", 32768)
    return reports.send_due(style, dsn.compose, runtime.queue_message)


def failed(*addresses: str, **fields) -> Message:
    message = make_message(*addresses, content=b"Subject: lost\r\n\r\nbody\r\n", **fields)
    message.recipient_set.update(
        state=State.FAILED,
        attempts=1,
        report="failed",
        last_reply="550 5.1.1 no such user",
        finished_at=timezone.now(),
    )
    return message


def test_reports_speak_as_the_operator_says_and_a_broken_text_keeps_none_back():
    message = failed("a@x.example")
    runtime.directory().refresh()
    wording = Wording({"failed": "Not arrived, alas:", "greeting": "Hello from {nowhere}"})
    style = reports.Style("mail.example.test", 32768, wording)
    assert reports.send_due(style, dsn.compose, runtime.queue_message) == 1
    report = Message.objects.exclude(id=message.id).get()
    text = bytes(Content.objects.get(message=report).data)
    assert b"Not arrived, alas:" in text
    assert b"This is the mail server mail.example.test" in text


def test_what_no_sender_can_be_told_goes_to_the_postmaster_of_the_settings_and_no_further():
    failed("a@x.example", reverse_path="")
    runtime.directory().refresh()
    style = reports.Style("mail.example.test", 32768, double_bounce_to="alice@example.org")
    assert reports.send_due(style, dsn.compose, runtime.queue_message) == 1
    report = Message.objects.get(reverse_path=dsn.DOUBLE_BOUNCE_SENDER)
    assert report.recipient_set.get().address == "alice@example.org"
    # Should it fail in its turn, that is the end.
    report.recipient_set.update(state=State.FAILED, attempts=1, report="failed")
    assert reports.send_due(style, dsn.compose, runtime.queue_message) == 1
    assert Message.objects.count() == 2


def test_verp_mail_that_fails_here_is_reported_once_to_the_plain_sender():
    failed("a@x.example", "b@y.example", verp=True)
    assert send() == 1
    (report,) = Message.objects.filter(source="dsn")
    assert report.recipient_set.get().address == "alice@example.org"


def test_one_report_for_all_recipients_of_a_message():
    message = failed("a@x.example", "b@y.example")
    assert send() == 1
    report = Message.objects.exclude(id=message.id).get()
    assert (report.reverse_path, report.source, report.pending) == ("", "dsn", 1)
    recipient = report.recipient_set.get()
    assert (recipient.address, recipient.transport) == ("alice@example.org", "local")
    text = bytes(Content.objects.get(message=report).data)
    assert text.startswith(b"Received: from localhost")
    assert b"a@x.example" in text and b"b@y.example" in text
    assert b"Subject: lost" in text
    event = Event.objects.get(message=message)
    assert event.data == {
        "queue_id": report.queue_id,
        "reports": {"a@x.example": "failed", "b@y.example": "failed"},
    }
    assert send() == 0


def test_many_senders_at_once_send_a_report_once():
    for _ in range(5):
        failed("a@x.example")
    workers = [Beside(send) for _ in range(3)]
    assert sum(worker.result() for worker in workers) == 5
    assert Message.objects.filter(source="dsn").count() == 5


def test_a_crash_in_between_leaves_the_report_due(monkeypatch):
    failed("a@x.example")

    def crash(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(reports.reports, "done", crash)
        with pytest.raises(KeyboardInterrupt):
            send()
    assert not Message.objects.filter(source="dsn").exists()
    assert Recipient.objects.get().report == "failed"
    assert send() == 1
    assert Message.objects.filter(source="dsn").count() == 1


def test_mail_without_sender_is_reported_to_the_postmaster_and_no_further():
    failed("a@x.example", reverse_path="")
    assert send() == 1
    report = Message.objects.get(source="dsn")
    assert report.reverse_path == "#@[]"
    Recipient.objects.filter(message=report).update(
        state=State.FAILED, attempts=1, report="failed", last_reply="550 5.1.1 no"
    )
    assert send() == 1
    assert Message.objects.filter(source="dsn").count() == 1
    assert not Recipient.objects.exclude(report="").exists()


def test_a_delay_and_later_the_failure_are_two_reports():
    message = make_message("a@x.example")
    message.recipient_set.update(attempts=5, report="delayed", last_reply="450 4.2.0 not now")
    assert send() == 1
    message.recipient_set.update(state=State.EXPIRED, report="failed")
    assert send() == 1
    contents = [bytes(each.data) for each in Content.objects.filter(message__source="dsn")]
    assert sorted(
        action
        for text in contents
        for action in (b"delayed", b"failed")
        if b"Action: " + action in text
    ) == [b"delayed", b"failed"]


def test_success_and_expansion_are_reported():
    message = make_message("bob@x.example")
    message.recipient_set.update(
        state=State.DELIVERED, attempts=1, report="delivered", last_reply="250 2.0.0 delivered"
    )
    add_recipient(
        message,
        "team@x.example",
        state=State.EXPANDED,
        report="expanded",
        last_reply="250 2.0.0 ok",
    )
    assert send() == 1
    text = bytes(Content.objects.get(message__source="dsn").data)
    assert b"Action: delivered" in text and b"Action: expanded" in text
