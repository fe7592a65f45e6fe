"""Refused mail that is taken after all: queued once, for those who were refused."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from mta import pardon, runtime
from mta.models import (
    Content,
    Domain,
    Mailbox,
    Message,
    Recipient,
    Refusal,
    RefusedContent,
    Settings,
)
from mta.protocol.queue_id import decode_queue_id
from mta.queue import retention
from mta.queue.history import timeline

CONTENT = b"Received: from a by b\r\nSubject: hello\r\n\r\nhello\r\n"
BOB, ANN = "bob@example.test", "ann@example.test"


@pytest.fixture
def refusal(transactional_db) -> Refusal:
    runtime.directory.cache_clear()
    here = Domain.objects.create(name="example.test")
    for name in ("bob", "ann"):
        Mailbox.objects.create(domain=here, local_part=name)
    now = timezone.now()
    RefusedContent.objects.create(
        id=77,
        expires_at=now + timedelta(hours=1),
        size=len(CONTENT),
        content=CONTENT,
        envelope={
            "reverse_path": "a@b.example",
            "recipients": [{"address": BOB, "notify": "NEVER"}, {"address": ANN}],
            "source": "esmtp",
            "client_ip": "203.0.113.9",
            "helo": "client.example.org",
        },
    )
    return Refusal.objects.create(
        at=now,
        stage="content",
        client_ip="203.0.113.9",
        helo="client.example.org",
        auth_user="",
        reverse_path="a@b.example",
        recipient=f"{BOB} {ANN}",
        code=550,
        status="5.7.1",
        text="no such mail here",
        rule="site_filter:words",
        policy_version=1,
        trace=[{"rule": "site_filter:words", "matched": True, "detail": "line 1"}],
        session={},
        content_id=77,
    )


def test_it_is_queued_for_all_whom_the_content_was_refused(refusal):
    queue_id = pardon.accept(refusal.pk, "root")
    message = Message.objects.get(pk=decode_queue_id(queue_id))
    assert message.reverse_path == "a@b.example"
    rows = Recipient.objects.filter(message_id=message.pk).order_by("address")
    assert [(row.address, row.notify) for row in rows] == [(ANN, ""), (BOB, "NEVER")]
    content = bytes(Content.objects.get(message_id=message.pk).data)
    assert content.endswith(CONTENT)
    assert content.startswith(b"Received: ")


def test_one_who_refused_for_himself_gets_it_alone(refusal):
    Refusal.objects.update(stage="verdict", recipient=ANN)
    message_id = decode_queue_id(pardon.accept(refusal.pk, "root"))
    assert [row.address for row in Recipient.objects.filter(message_id=message_id)] == [ANN]


def test_twice_is_once(refusal):
    assert pardon.accept(refusal.pk, "root") == pardon.accept(refusal.pk, "another")
    assert Message.objects.count() == 1


def test_who_did_it_is_on_record(refusal):
    queue_id = pardon.accept(refusal.pk, "root")
    refusal.refresh_from_db()
    assert (refusal.accepted_by, refusal.accepted_as) == ("root", decode_queue_id(queue_id))
    sentences = [entry.sentence for entry in timeline(refusal.accepted_as)]
    assert any("although it was refused, by root" in each for each in sentences)
    assert "Came from another host" in sentences


@pytest.mark.parametrize("change", [{"content_id": None}, {"content_id": 78}, {"enforced": False}])
def test_what_is_not_kept_cannot_be_taken(refusal, change):
    Refusal.objects.update(**change)
    with pytest.raises(pardon.CannotAccept):
        pardon.accept(refusal.pk, "root")
    assert not Message.objects.exists()


def test_it_is_forgotten_when_its_time_is_over(refusal):
    retention.sweep(Settings.load())
    assert RefusedContent.objects.exists()
    RefusedContent.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert retention.sweep(Settings.load())["refused_content"] == 1
    assert Refusal.objects.exists()


def test_the_command(refusal, capsys):
    call_command("refusals", "list", "--kept", "--filter", "words")
    assert f"{refusal.pk} " in capsys.readouterr().out
    call_command("refusals", "accept", str(refusal.pk))
    assert "is queued as" in capsys.readouterr().out
    with pytest.raises(CommandError, match="there is no refusal 4711"):
        call_command("refusals", "accept", "4711")
