"""sendmail: from standard input into the queue, with the exit statuses programs look at."""

import io
import sys

import pytest
from django.db import connections

from mta import runtime
from mta.management.commands.sendmail import Command
from mta.models import Content, Domain, Mailbox, Message, Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_directory")]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(runtime, "nudge", lambda names=None: None)
    monkeypatch.setattr("mta.management.commands.sendmail.quiet_mail_log", lambda: None)
    # The command closes its connections at its end; the test still needs its transaction.
    monkeypatch.setattr(connections, "close_all", lambda: None)
    for name in ("MAILUSER", "MAILSUSER", "MAILHOST", "MAILSHOST", "MAILNAME", "NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ann")


@pytest.fixture
def send(monkeypatch):
    """Run sendmail with that on standard input; gives the exit status and what it said."""

    def send(content: bytes, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        out, err = io.StringIO(), io.StringIO()
        status = 0
        try:
            Command(stdout=out, stderr=err, no_color=True).run_from_argv(
                ["manage.py", "sendmail", *arguments]
            )
        except SystemExit as end:
            status = int(end.code or 0)
        return status, out.getvalue(), err.getvalue()

    return send


def test_a_message_is_queued_whole(send):
    status, _, errors = send(b"To: bob@foreign.test\nSubject: hi\n\nbody\n", "-t", "-oi")
    assert (status, errors) == (0, "")
    message = Message.objects.get()
    assert message.reverse_path == f"ann@{runtime.hostname()}"
    assert (message.source, message.subject) == ("local", "hi")
    assert [row.address for row in message.recipient_set.all()] == ["bob@foreign.test"]
    content = bytes(Content.objects.get().data)
    assert content.startswith(b"Received: ")
    assert content.endswith(b"\r\n\r\nbody\r\n")
    assert b"\r\nDate: " in content


def test_the_sender_and_the_wishes_are_taken_from_the_options(send):
    send(
        b"\nx\n",
        "-f",
        "bounce@y.test",
        "-F",
        "The Robot",
        "-N",
        "success",
        "-R",
        "hdrs",
        "-V",
        "e1",
        "bob@foreign.test",
    )
    message = Message.objects.get()
    assert (message.reverse_path, message.ret, message.envid) == ("bounce@y.test", "HDRS", "e1")
    assert message.recipient_set.get().notify == "SUCCESS"
    assert b"From: The Robot <bounce@y.test>\r\n" in bytes(Content.objects.get().data)


def test_verp(send):
    send(b"\nx\n", "-verp", "-f", "list@y.test", "bob@foreign.test")
    assert Message.objects.get().verp
    send(b"\nx\n", "-f", "list@y.test", "bob@foreign.test")
    assert Message.objects.filter(verp=False).count() == 1


def test_the_environment_names_the_sender(send, monkeypatch):
    monkeypatch.setenv("MAILSUSER", "list-bounces")
    monkeypatch.setenv("MAILHOST", "y.test")
    monkeypatch.setenv("MAILNAME", "Ann Lee")
    send(b"\n", "bob@foreign.test")
    assert Message.objects.get().reverse_path == "list-bounces@y.test"
    assert b"From: Ann Lee <ann@y.test>\r\n" in bytes(Content.objects.get().data)


def test_local_recipients_need_not_exist_yet(send):
    domain = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=domain, local_part="bob")
    status, _, _ = send(b"\nx\n", "bob@example.test", "nobody@example.test")
    assert status == 0
    assert Message.objects.get().recipient_set.count() == 2


@pytest.mark.parametrize(
    ("content", "arguments", "status", "words"),
    [
        (b"Subject: x\n\n", (), 67, "no recipient"),
        (b"\n", ("bob@",), 67, "553 5.1.3"),
        (b"\n", ("--nonsense",), 64, "no such option"),
        (b"x" * 5000, ("bob@x.test",), 67, "552 5.3.4"),
    ],
)
def test_what_cannot_be_sent_says_why_and_queues_nothing(send, content, arguments, status, words):
    settings = Settings.load()
    settings.sizelimit = 4096
    settings.save()
    assert send(content, *arguments)[0] == status
    assert words in send(content, *arguments)[2]
    assert not Message.objects.exists()


def test_n_prints_the_message_instead(send):
    status, printed, _ = send(b"To: bob@x.test\nBcc: eve@x.test\n\nbody\n", "-n")
    assert status == 0
    assert printed.startswith("To: bob@x.test\nFrom: ")
    assert printed.endswith("\n\nbody\n")
    assert "eve" not in printed
    assert "\r" not in printed
    assert not Message.objects.exists()
