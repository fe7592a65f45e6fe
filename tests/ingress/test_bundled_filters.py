"""The bundled kinds of site filters as clients and administrators meet them."""

import os
import pwd
from datetime import timedelta

import pytest

from mta import runtime
from mta.models import Recipient, Refusal, Route, SiteFilter, State, TimedRelease
from mta.protocol.envelope import Envelope, Source
from mta.protocol.envelope import Recipient as AddressedTo
from mta.protocol.queue_id import decode_queue_id
from mta.queue import releases, timeline
from tests.filters.test_parts import message as with_attachment
from tests.ingress.conftest import PASSWORD
from tests.support.sink import Sink
from tests.support.smtp_session import Client, Ingress, disconnect_others
from tests.support.waiting import eventually

ANN, BOB = "ann@example.test", "bob@example.test"
SPAM = b"Subject: Get rich\r\n\r\nDear friend,\r\nclick here\r\nat once\r\n"


def row(kind: str, stage: str = "content", text: str = "", **options: object) -> SiteFilter:
    return SiteFilter.objects.create(
        name="test",
        kind=kind,
        stage=stage,
        state="enforce",
        submission=True,
        options=options,
        text=text,
    )


def mail(client: Client, content: bytes, *recipients: str, sender: str = "al@example.org") -> str:
    """The last reply."""
    assert client.command(f"MAIL FROM:<{sender}>").startswith("250")
    for recipient in recipients or (ANN,):
        assert client.command(f"RCPT TO:<{recipient}>").startswith("250")
    assert client.command("DATA").startswith("354")
    client.send(content + b".\r\n")
    return client.reply()


def states() -> list[str]:
    return list(Recipient.objects.order_by("id").values_list("state", flat=True))


@pytest.fixture
def stranger(ingress: Ingress):
    with ingress.connect() as client:
        yield client


def test_a_slew_is_refused_and_what_is_queued_of_it_goes_back(stranger, change):
    change(submitdelay=timedelta(minutes=2))
    row("duplicate_slew")
    replies = [mail(stranger, SPAM, ANN, BOB) for _ in range(3)]
    assert {reply[:3] for reply in replies} == {"250"}
    assert mail(stranger, b"Subject: lunch\r\n\r\nat noon?\r\n").startswith("250")
    assert states() == [State.QUEUED] * 7

    assert mail(stranger, SPAM) == "550 5.7.1 too many copies of this message were sent"

    assert states() == [State.CANCELLED] * 6 + [State.QUEUED]
    assert set(Recipient.objects.values_list("report", flat=True)) == {"failed", ""}
    assert mail(stranger, SPAM).startswith("550")
    refusal = eventually(lambda: Refusal.objects.filter(rule="site_filter:test").first())
    assert "copy 4 of this message; 4 are a slew" in str(refusal.trace)
    told = timeline.timeline(decode_queue_id(replies[0].rpartition(" ")[2]))
    assert any("Cancelled by site filter test" in entry.sentence for entry in told)


def test_one_message_for_many_is_no_slew(stranger):
    row("duplicate_slew", duplevel=2)
    assert mail(stranger, SPAM, ANN, BOB, "carl@example.test").startswith("250")


def test_a_user_who_sends_too_much_waits_and_then_goes_on(ingress, monkeypatch):
    row("sender_rate", maxrcpts=2)
    with ingress.connect("smtps") as client:
        client.login(BOB, PASSWORD)
        for _ in range(2):
            assert mail(client, SPAM, ANN, sender=BOB).startswith("250")
        held = mail(client, SPAM, ANN, sender=BOB)
    assert held.startswith("250 2.0.0 Ok: queued as")
    assert states() == [State.QUEUED, State.QUEUED, State.HELD]
    told = timeline.timeline(decode_queue_id(held.rpartition(" ")[2]))
    assert "bob@example.test had 2 recipients in 60 s and now 1" in str(told)

    monkeypatch.setattr(runtime, "nudge", lambda names=None: None)
    runtime.tick()
    assert states()[-1] == State.HELD
    TimedRelease.objects.update(at="2026-01-01T00:00Z")
    runtime.tick()
    assert states()[-1] == State.QUEUED


def test_what_another_filter_holds_for_good_is_not_released_by_itself(ingress):
    row("sender_rate", maxrcpts=1)
    SiteFilter.objects.create(
        name="by-hand",
        kind="headers",
        state="enforce",
        submission=True,
        text="Subject contains rich -> hold",
    )
    with ingress.connect("smtps") as client:
        client.login(BOB, PASSWORD)
        for content in (SPAM, SPAM, b"Subject: lunch\r\n\r\nat noon?\r\n"):
            whole = b"From: bob@example.test\r\n" + content
            assert mail(client, whole, ANN, sender=BOB).startswith("250")
    TimedRelease.objects.update(at="2026-01-01T00:00Z")
    assert releases.release_due() == 1
    assert states() == [State.HELD, State.HELD, State.QUEUED]


@pytest.mark.parametrize("stage", ["sender", "recipient"])
def test_a_sender_whom_nobody_knows_is_refused(ingress, stage):
    row("sender_verification", stage)
    with Sink(replies={"RCPT al@example.org": "550 5.1.1 no such user"}) as sink:
        Route.objects.create(domain="example.org", relay="127.0.0.1", port=sink.port)
        with ingress.connect() as client:
            replies = client.command("MAIL FROM:<al@example.org>")
            if stage == "recipient":
                replies = client.command(f"RCPT TO:<{ANN}>")
            assert replies.startswith("550 5.1.7 the sender takes no mail: ")
            assert replies.endswith("says: 550 5.1.1 no such user")
            client.command("RSET")
            assert mail(client, SPAM, sender="ben@example.org").startswith("250")


def test_an_attachment_that_is_not_wanted_is_refused(stranger):
    row("attachments")
    reply = mail(stranger, with_attachment('attachment; filename="a.exe"', body=b"MZ"))
    assert reply.startswith("550 5.7.1 attachments of this kind are not accepted here: ")
    assert mail(stranger, SPAM).startswith("250")


def test_header_rules_change_hold_and_refuse(stranger):
    row("headers", text="Subject contains rich -> add X-Seen: yes\nReply-To missing -> hold")
    assert mail(stranger, b"From: al@example.org\r\n" + SPAM).startswith("250")
    (recipient,) = Recipient.objects.all()
    assert recipient.state == State.HELD
    assert b"X-Seen: yes\r\n" in bytes(recipient.message.content.data)
    old = b"From: al@example.org\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n" + SPAM
    assert "hours away" in mail(stranger, old)


def test_a_program_of_this_host_is_counted_by_its_user(town, request):
    SiteFilter.objects.create(
        name="test", kind="sender_rate", state="enforce", local=True, options={"maxrcpts": 1}
    )
    runtime.directory.cache_clear()
    request.addfinalizer(disconnect_others)
    request.addfinalizer(runtime.directory.cache_clear)
    envelope = Envelope("root@mail.example.test", (AddressedTo(ANN),), Source.LOCAL)
    for _ in range(2):
        runtime.queue_message(envelope, SPAM, uid=os.getuid() or 4711)
    assert states() == [State.QUEUED, State.HELD]
    sender = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "uid 4711"
    assert [waiting.sender for waiting in releases.waiting()] == [sender]
