"""A runner at work: real queue, real directory, a transport that does what the test says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError
from django.utils import timezone

from mta.directory import Directory
from mta.models import (
    AddressTrouble,
    Attempt,
    Domain,
    DsnRefuser,
    Lease,
    Mailbox,
    Message,
    Recipient,
    RetryOverride,
    Route,
    Settings,
    State,
    TlsTally,
)
from mta.protocol.reply import Reply
from mta.protocol.tls_result import PolicyType, TlsResult, TlsWord
from mta.queue import control, lease
from mta.queue.control import Selection
from mta.scheduler import journal, runner
from mta.scheduler.workshop import Workshop
from mta.transports.base import (
    DeliveryContext,
    DeliveryRequest,
    Done,
    Outcome,
    Pool,
    QueuedRecipient,
    Result,
)
from mta.transports.discard import Discard
from tests.queue import rows
from tests.queue.rows import add_recipient

OK = Reply(250, "2.0.0", "ok")
NO = Reply(550, "5.1.1", "no such user")

Deliver = Callable[[DeliveryRequest, DeliveryContext], Iterator[Outcome]]


def recipients(request: DeliveryRequest) -> list[QueuedRecipient]:
    return [each for message in request.messages for each in message.recipients]


def defer_all(request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
    for recipient in recipients(request):
        yield Outcome(recipient.id, Result.DEFERRED, Reply(450, "4.2.0", "not now"))


def accept_all(request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
    for recipient in recipients(request):
        yield Outcome(recipient.id, Result.SENT, OK)


@dataclass
class Scripted:
    """Takes every address that leaves; `delivery` is what it does with a request."""

    delivery: Deliver = accept_all
    name: str = "esmtp"
    priority: int = 20
    limit: int = 1
    batch: int = 100
    pool: Pool = Pool.REMOTE
    done: Done = Done.RELAYED
    requests: list[DeliveryRequest] = field(default_factory=list)

    def claim(self, address: str, book) -> str | None:
        return book.nexthop(address) or None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        self.requests.append(request)
        return self.delivery(request, context)


@dataclass
class Shop:
    """A workshop around one scripted transport, and what it was asked to do."""

    transport: Scripted
    stopping: bool = False
    nudged: list[str] = field(default_factory=list)
    reports: int = 0

    def run(self) -> int:
        return runner.run(
            self.transport,
            Workshop(
                transports=(Discard(), self.transport),
                directory=Directory("mail.example.test"),
                context=self._context,
                nudge=self.nudged.append,
                reports_due=self._report,
                stopping=lambda: self.stopping,
                owner="test",
            ),
        )

    def _context(self, contents, committing) -> DeliveryContext:
        return DeliveryContext(
            hostname="mail.example.test",
            mail_root=Path("unused"),
            content=contents,
            committing=committing,
            stopping=lambda: self.stopping,
        )

    def _report(self) -> None:
        self.reports += 1


def make_message(*addresses: str, **fields) -> Message:
    """A message that has been due for a minute."""
    fields.setdefault("created_at", timezone.now() - timedelta(minutes=1))
    return rows.make_message(*addresses, **fields)


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "state"))


@pytest.mark.django_db
def test_everything_that_is_due_is_delivered_by_destination():
    make_message("a@x.example", "b@y.example")
    make_message("c@x.example")
    shop = Shop(Scripted())
    assert shop.run() == 3
    assert {
        request.nexthop: [recipient.address for recipient in recipients(request)]
        for request in shop.transport.requests
    } == {"mx:x.example": ["a@x.example", "c@x.example"], "mx:y.example": ["b@y.example"]}
    assert set(states().values()) == {State.RELAYED}
    assert not Message.objects.filter(finished_at=None).exists()
    assert not Lease.objects.exists()
    assert shop.run() == 0


@pytest.mark.django_db
def test_the_request_holds_what_a_transport_needs():
    message = make_message("a@x.example", content=b"octets", ret="HDRS", envid="e", smtputf8=True)
    message.recipient_set.update(
        notify="SUCCESS", original_recipient="rfc822;o@x.example", return_path="SRS0=x@y.example"
    )
    contents = []

    def deliver(request, context):
        contents.append(context.content(message.id))
        yield from accept_all(request, context)

    shop = Shop(Scripted(deliver))
    shop.run()
    (queued,) = shop.transport.requests[0].messages
    assert (queued.queue_id, queued.size, queued.ret, queued.envid) == (
        message.queue_id,
        6,
        "HDRS",
        "e",
    )
    assert queued.created_at == message.created_at.timestamp()
    (recipient,) = queued.recipients
    assert (recipient.notify, recipient.original_recipient) == ("SUCCESS", "rfc822;o@x.example")
    assert recipient.return_path == "SRS0=x@y.example"
    assert recipient.attempt == 1
    assert contents == [b"octets"]


@pytest.mark.django_db
def test_silence_is_never_success():
    make_message("told@x.example", "silent@x.example")

    def only_the_first(request, context):
        yield Outcome(recipients(request)[0].id, Result.SENT, OK)

    Shop(Scripted(only_the_first)).run()
    silent = Recipient.objects.get(address="silent@x.example")
    assert (silent.state, silent.last_reply) == (
        State.QUEUED,
        "451 4.3.0 the transport gave no result",
    )
    assert silent.next_attempt > timezone.now()
    assert states()["told@x.example"] == State.RELAYED


@pytest.mark.django_db
def test_an_exception_defers_what_is_left_and_keeps_what_was_said():
    make_message("sent@x.example", "left@x.example")

    def break_down(request, context):
        yield Outcome(recipients(request)[0].id, Result.SENT, OK)
        raise KeyError("a bug")

    Shop(Scripted(break_down)).run()
    assert states() == {"sent@x.example": State.RELAYED, "left@x.example": State.QUEUED}
    assert "KeyError" not in Recipient.objects.get(address="left@x.example").last_reply


@pytest.mark.django_db
def test_what_a_transport_says_twice_or_of_strangers_is_ignored():
    make_message("a@x.example")

    def chatter(request, context):
        (recipient,) = recipients(request)
        yield Outcome(recipient.id, Result.SENT, OK)
        yield Outcome(recipient.id, Result.BOUNCED, NO)
        yield Outcome(recipient.id + 1000, Result.BOUNCED, NO)

    Shop(Scripted(chatter)).run()
    assert states() == {"a@x.example": State.RELAYED}
    assert Attempt.objects.count() == 1


@pytest.mark.django_db
def test_a_failure_calls_for_a_report():
    make_message("a@x.example")

    def bounce(request, context):
        for recipient in recipients(request):
            yield Outcome(recipient.id, Result.BOUNCED, NO, remote="mx", command="RCPT TO")

    shop = Shop(Scripted(bounce))
    shop.run()
    failed = Recipient.objects.get()
    assert (failed.state, failed.report, failed.last_reply) == (State.FAILED, "failed", str(NO))
    assert shop.reports == 1


@pytest.mark.django_db
def test_a_crash_after_the_final_dot_shows_as_uncertain():
    make_message("dot@x.example", "before@x.example")

    class Killed(BaseException):
        pass

    def die(request, context):
        context.committing([recipients(request)[0].id])
        raise Killed
        yield

    with pytest.raises(Killed):
        Shop(Scripted(die)).run()
    assert set(states().values()) == {State.DELIVERING}
    Lease.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    lease.reap()
    assert dict(Attempt.objects.values_list("recipient__address", "result")) == {
        "dot@x.example": "uncertain",
        "before@x.example": "interrupted",
    }
    assert Shop(Scripted()).run() == 2
    assert set(states().values()) == {State.RELAYED}


@pytest.mark.django_db
def test_the_note_of_the_final_dot_gives_way_to_the_result():
    make_message("a@x.example")

    def deliver(request, context):
        context.committing([recipients(request)[0].id])
        yield from accept_all(request, context)

    Shop(Scripted(deliver)).run()
    assert list(Attempt.objects.values_list("result", flat=True)) == ["sent"]


@pytest.mark.django_db
def test_a_new_route_moves_queued_mail():
    message = make_message("a@x.example", "b@x.example")
    add_recipient(message, "c@z.example")
    Route.objects.create(domain="x.example", relay="discard", port=25)
    shop = Shop(Scripted())
    shop.run()
    assert [request.nexthop for request in shop.transport.requests] == ["mx:z.example"]
    moved = Recipient.objects.filter(address__endswith="@x.example")
    assert set(moved.values_list("transport", "state", "attempts")) == {("discard", "queued", 0)}
    assert "discard" in shop.nudged


@pytest.mark.django_db
def test_mail_of_one_sender_takes_a_way_of_its_own():
    Route.objects.create(domain="*", sender="ann@acme.example", relay="acme.example")
    make_message("a@x.example", reverse_path="ann@acme.example")
    make_message("b@x.example", reverse_path="bob@acme.example")
    shop = Shop(Scripted())
    shop.run()
    shop.run()
    assert {request.nexthop: len(request.messages) for request in shop.transport.requests} == {
        "relay:acme.example:25": 1,
        "mx:x.example": 1,
    }


@pytest.mark.django_db
def test_an_address_that_no_transport_takes_any_more_fails():
    make_message("gone@x.example")
    Domain.objects.create(name="x.example")
    Shop(Scripted()).run()
    gone = Recipient.objects.get()
    assert (gone.state, gone.last_reply) == (State.FAILED, "550 5.1.1 no such user here")
    assert gone.report == "failed"


@pytest.mark.django_db
def test_a_domain_that_became_ours_is_delivered_here():
    make_message("bob@x.example")
    domain = Domain.objects.create(name="x.example")
    Mailbox.objects.create(domain=domain, local_part="bob")

    class Here(Scripted):
        def claim(self, address, book):
            return "" if book.is_mailbox(address) else None

    shop = Shop(Here(name="local", pool=Pool.LOCAL, done=Done.DELIVERED))
    Recipient.objects.update(transport="local", nexthop="")
    shop.run()
    assert states() == {"bob@x.example": State.DELIVERED}


@pytest.mark.django_db
def test_a_worker_that_is_stopping_gives_back_what_it_has_not_tried():
    make_message("sent@x.example", "untried@x.example")
    shop = Shop(Scripted())

    def stop_in_the_middle(request, context):
        yield Outcome(recipients(request)[0].id, Result.SENT, OK)
        shop.stopping = True

    shop.transport.delivery = stop_in_the_middle
    shop.run()
    untried = Recipient.objects.get(address="untried@x.example")
    assert (untried.state, untried.attempts, untried.lease_id) == (State.QUEUED, 0, None)
    assert untried.next_attempt <= timezone.now()
    assert states()["sent@x.example"] == State.RELAYED
    assert not Lease.objects.exists()
    assert shop.run() == 0


@pytest.mark.django_db
def test_mail_that_was_too_old_is_tried_once_more_and_then_returned():
    message = make_message("a@x.example", created_at=timezone.now() - timedelta(days=9))
    message.recipient_set.update(warn_at=timezone.now() - timedelta(days=8))

    def not_now(request, context):
        for recipient in recipients(request):
            yield Outcome(recipient.id, Result.DEFERRED, Reply(450, "4.2.0", "not now"))

    Shop(Scripted(not_now)).run()
    expired = Recipient.objects.get()
    assert (expired.state, expired.report, expired.attempts) == (State.EXPIRED, "failed", 1)
    message.refresh_from_db()
    assert message.pending == 0


@pytest.mark.django_db
def test_batches_have_the_size_of_the_settings():
    Settings.load()
    Settings.objects.update(batchsize=2)
    make_message(*(f"{number}@x.example" for number in range(5)))
    shop = Shop(Scripted())
    shop.run()
    assert [len(recipients(request)) for request in shop.transport.requests] == [2, 2, 1]


@pytest.mark.django_db
def test_a_message_without_content_is_deferred_and_seen():
    message = make_message("a@x.example")
    message.content.delete()

    def read(request, context):
        context.content(message.id)
        yield from accept_all(request, context)

    Shop(Scripted(read)).run()
    assert states() == {"a@x.example": State.QUEUED}


@pytest.mark.django_db
def test_an_address_that_fails_is_remembered_until_it_works_again():
    make_message("a@x.example", "b@y.example")

    def refuse_one(request, context):
        for recipient in recipients(request):
            good = recipient.address == "b@y.example"
            result, reply = (Result.SENT, OK) if good else (Result.BOUNCED, NO)
            yield Outcome(recipient.id, result, reply, remote="mx [192.0.2.1]")

    Shop(Scripted(refuse_one)).run()
    assert list(AddressTrouble.objects.values_list("address", "permanent")) == [
        ("a@x.example", True)
    ]
    make_message("a@x.example")
    Shop(Scripted()).run()
    assert not AddressTrouble.objects.exists()


@pytest.mark.django_db
def test_what_stays_here_is_known_at_rcpt_and_not_remembered():
    make_message("a@x.example")

    def refuse(request, context):
        return (Outcome(each.id, Result.BOUNCED, NO) for each in recipients(request))

    Shop(Scripted(refuse, pool=Pool.LOCAL)).run()
    assert states() == {"a@x.example": State.FAILED}
    assert not AddressTrouble.objects.exists()


@pytest.mark.django_db
def test_a_domain_that_refuses_our_reports_is_remembered():
    make_message("a@x.example", reverse_path="", source="dsn")

    def refuse_the_null_sender(request, context):
        for recipient in recipients(request):
            yield Outcome(recipient.id, Result.BOUNCED, NO, remote="mx", command="MAIL FROM:<>")

    Shop(Scripted(refuse_the_null_sender)).run()
    assert DsnRefuser.objects.get().domain == "x.example"
    assert states() == {"a@x.example": State.FAILED}


@pytest.mark.django_db
def test_outcomes_stand_when_nothing_can_be_learnt(monkeypatch):
    def broken(*arguments):
        raise DatabaseError("deadlock detected")

    # Closing the connection would end the transaction that this test runs in.
    monkeypatch.setattr(journal.connection, "close", lambda: None)
    monkeypatch.setattr(journal.backscatter, "learn", broken)
    make_message("a@x.example")
    Shop(Scripted()).run()
    assert states() == {"a@x.example": State.RELAYED}
    assert not Lease.objects.exists()


@pytest.mark.django_db
def test_what_became_of_tls_is_counted_with_the_outcomes():
    def tell(request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        context.tls_seen(TlsResult("there.example", "mx", PolicyType.NONE, TlsWord.SUCCESS))
        yield from accept_all(request, context)

    make_message("bob@there.example", "ann@there.example")
    Shop(Scripted(tell)).run()
    tally = TlsTally.objects.get()
    assert (tally.domain, tally.word, tally.count) == ("there.example", "success", 1)


@pytest.mark.django_db
def test_rerouted_mail_goes_where_it_was_told_and_back():
    Route.objects.create(domain="x.example", relay="relay.example")
    make_message("a@x.example")
    control.reroute(Selection(), "admin", ("esmtp", "relay:other.example:26"))
    shop = Shop(Scripted(defer_all))
    assert shop.run() == 1
    assert [each.nexthop for each in shop.transport.requests] == ["relay:other.example:26"]
    control.reroute(Selection(), "admin", None)
    assert shop.run() == 2
    assert shop.transport.requests[-1].nexthop == "relay:relay.example:25"


@pytest.mark.django_db
def test_the_backup_relay_gets_what_waits_too_long():
    settings = Settings.load()
    settings.backuprelay = "backup.example:26"
    settings.save()
    message = make_message("a@x.example")
    message.recipient_set.update(warn_at=timezone.now() - timedelta(minutes=1))
    shop = Shop(Scripted(defer_all))
    shop.run()
    assert message.recipient_set.get().next_attempt <= timezone.now()
    # The clock of the test's transaction stands still.
    message.recipient_set.update(next_attempt=timezone.now() - timedelta(minutes=1))
    shop.run()
    hops = [each.nexthop for each in shop.transport.requests]
    assert hops == ["mx:x.example", "relay:backup.example:26"]
    row = message.recipient_set.get()
    assert (row.pinned, row.report, row.state) == (True, "", State.QUEUED)


@pytest.mark.django_db
def test_the_backup_relay_leaves_mail_with_a_route_alone():
    settings = Settings.load()
    settings.backuprelay = "backup.example:26"
    settings.save()
    Route.objects.create(domain="x.example", relay="relay.example")
    message = make_message("a@x.example")
    message.recipient_set.update(warn_at=timezone.now() - timedelta(minutes=1))
    Shop(Scripted(defer_all)).run()
    Shop(Scripted(defer_all)).run()
    row = message.recipient_set.get()
    assert (row.pinned, row.report, row.nexthop) == (False, "delayed", "relay:relay.example:25")


@pytest.mark.django_db
def test_a_domain_is_retried_in_its_own_time():
    RetryOverride.objects.create(name="x.example", retryalpha=timedelta(hours=7))
    make_message("a@x.example", "b@y.example")
    Shop(Scripted(defer_all)).run()
    waits = {
        row.address: round((row.next_attempt - timezone.now()).total_seconds() / 60)
        for row in Recipient.objects.all()
    }
    assert waits == {"a@x.example": 420, "b@y.example": 5}
