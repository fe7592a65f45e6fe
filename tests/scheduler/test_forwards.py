"""What a recipient's instructions send on: queued once, before the recipient is done."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from mta import runtime, system_accounts
from mta.models import Alias, Content, Domain, Lease, Message, Recipient, Settings, State
from mta.queue import lease
from mta.scheduler import journal, runner
from mta.scheduler.workshop import Workshop
from mta.system_users import SystemUser
from mta.transports.account import Account
from mta.transports.base import Transport
from tests.queue import rows
from tests.support.accounts import User, system_user

HOST = runtime.hostname()
ANN = f"ann@{HOST}"


@pytest.fixture
def ann(db, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    Domain.objects.create(name=HOST)
    Settings.load()
    Settings.objects.update(systemaccounts=True, minuid=1)
    runtime.directory.cache_clear()
    with system_user("ann", monkeypatch) as user:
        known = SystemUser("ann", user.uid, str(user.home))
        monkeypatch.setattr(system_accounts, "find_user", {"ann": known}.get)
        yield user
    runtime.directory.cache_clear()


def run(forward=runtime.forward) -> None:
    directory = runtime.directory()
    directory.refresh()
    transport: Transport = Account()
    shop = Workshop(
        transports=(transport,),
        directory=directory,
        context=runtime.delivery_context,
        nudge=lambda name: None,
        reports_due=lambda: None,
        stopping=lambda: False,
        owner="test",
        forward=forward,
    )
    runner.run(transport, shop)


def queue(*addresses: str, **fields) -> Message:
    message = rows.make_message(created_at=timezone.now() - timedelta(minutes=1), **fields)
    message.recipient_set.all().delete()
    for address in addresses or (ANN,):
        rows.add_recipient(message, address, transport="account", nexthop="ann")
    return message


def forwarded() -> Message:
    return Message.objects.get(source="local")


def test_a_forward_is_a_message_of_its_own(ann):
    ann.write(".courier", "./Maildir\n&bob@example.org, carl@example.net\n")
    queue(ret="HDRS", envid="e1", content=b"Subject: x\r\n\r\nx\r\n")
    run()
    done = Recipient.objects.get(address=ANN)
    assert (done.state, done.last_reply) == (
        State.DELIVERED,
        "250 2.0.0 ann: delivered, forwarded to 2 addresses",
    )
    message = forwarded()
    assert (message.reverse_path, message.ret, message.envid) == ("alice@example.org", "HDRS", "e1")
    received, line, rest = bytes(Content.objects.get(message=message).data).partition(
        f"Delivered-To: {ANN}\r\n".encode()
    )
    assert f"(forwarded by {ANN})".encode() in received
    assert line and rest == b"Subject: x\r\n\r\nx\r\n"
    assert set(
        message.recipient_set.values_list("address", "notify", "original_recipient", "state")
    ) == {
        ("bob@example.org", "FAILURE", f"rfc822;{ANN}", State.QUEUED),
        ("carl@example.net", "FAILURE", f"rfc822;{ANN}", State.QUEUED),
    }
    assert len(ann.letters()) == 1


@pytest.mark.parametrize(
    ("notify", "further"), [("NEVER", "NEVER"), ("SUCCESS,FAILURE", "FAILURE"), ("", "FAILURE")]
)
def test_the_wishes_of_the_sender_go_on(ann, notify, further):
    ann.write(".courier", "&bob@example.org\n")
    queue().recipient_set.update(notify=notify, original_recipient="rfc822;first@example.com")
    run()
    (recipient,) = forwarded().recipient_set.all()
    assert recipient.notify == further
    assert recipient.original_recipient == "rfc822;first@example.com"


def test_the_sender_varies_with_verp(ann):
    ann.write(".courier", "&bob@example.org\n")
    queue(verp=True)
    run()
    assert forwarded().reverse_path == f"alice-ann={HOST}@example.org"
    assert not forwarded().verp


def test_srs_where_it_is_wanted(ann):
    Settings.objects.update(srs=True)
    ann.write(".courier", "&bob@example.org\n")
    queue(reverse_path="alice@elsewhere.example")
    run()
    (recipient,) = forwarded().recipient_set.all()
    assert recipient.return_path.startswith("SRS0=")
    assert recipient.return_path.endswith(f"@{HOST}")


def test_aliases_are_resolved(ann):
    Alias.objects.create(name=f"team@{HOST}", targets=["bob@example.org", "eve@example.org"])
    ann.write(".courier", "team\n")
    queue()
    run()
    states = dict(forwarded().recipient_set.values_list("address", "state"))
    assert states == {
        f"team@{HOST}": State.EXPANDED,
        "bob@example.org": State.QUEUED,
        "eve@example.org": State.QUEUED,
    }


def test_each_recipient_forwards_for_itself(ann):
    ann.write(".courier", "&bob@example.org\n")
    ann.write(".courier-x", "&bob@example.org\n")
    queue(ANN, f"ann-x@{HOST}")
    run()
    assert Message.objects.filter(source="local").count() == 2


def test_nothing_is_forwarded_by_who_is_deferred(ann):
    ann.write(".courier", "&bob@example.org\n| exit 75\n")
    queue()
    run()
    assert not Message.objects.filter(source="local").exists()
    assert Recipient.objects.get().state == State.QUEUED


class _Killed(BaseException):
    pass


def test_a_crash_after_the_forward_sends_nothing_twice(ann):
    ann.write(".courier", "./Maildir\n&bob@example.org\n")

    def forward_and_die(*arguments) -> None:
        runtime.forward(*arguments)
        raise _Killed

    queue()
    with pytest.raises(_Killed):
        run(forward_and_die)
    assert Recipient.objects.get(address=ANN).state == State.DELIVERING
    Lease.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    lease.reap()
    run()
    assert Recipient.objects.get(address=ANN).state == State.DELIVERED
    assert forwarded().recipient_set.count() == 1
    assert len(ann.letters()) == 1


def test_a_database_that_is_away_loses_nothing(ann, monkeypatch):
    monkeypatch.setattr(journal, "FLUSH_TRIES", 1)
    monkeypatch.setattr(journal.connection, "close", lambda: None)
    monkeypatch.setattr(journal.time, "sleep", lambda seconds: None)

    def away(*arguments) -> None:
        raise OperationalError("away")

    ann.write(".courier", "&bob@example.org\n")
    queue()
    with pytest.raises(OperationalError):
        run(away)
    waiting = Recipient.objects.get()
    assert (waiting.state, waiting.lease_id is None) == (State.DELIVERING, False)


def test_a_loop_through_forwards_ends(ann):
    """ann sends on to herself under another name, whose mail comes back to her."""
    ann.write(".courier", f"&ann-back@{HOST}\n")
    ann.write(".courier-back", f"&{ANN}\n")
    queue()
    for _ in range(3):
        # The test's transaction began before what is forwarded was queued.
        Recipient.objects.update(next_attempt=timezone.now() - timedelta(minutes=1))
        run()
    assert Message.objects.filter(source="local").count() == 2
    failed = Recipient.objects.get(state=State.FAILED)
    assert failed.last_reply == "554 5.4.6 mail loop: it has been here before"


def test_a_command_is_on_record_while_it_runs(ann):
    """So that a worker that dies then leaves an uncertain attempt."""
    ann.write(".courier", "| exit 0\n")
    queue()
    run()
    assert Recipient.objects.get().attempt_set.get().result == "sent"
