"""What deliveries teach: addresses that fail, domains that refuse reports."""

import time
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from mta.models import (
    AddressTrouble,
    Attempt,
    DsnRefuser,
    Message,
    PolicyChange,
    PolicyState,
    Settings,
    State,
)
from mta.queue import backscatter
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.outcomes import Settlement
from tests.queue.rows import make_message

pytestmark = pytest.mark.django_db

FRIEND = "friend@far.example"
BOUNCED = (Attempt.Result.BOUNCED, State.FAILED, "550 5.1.1 no such user")
DEFERRED = (Attempt.Result.DEFERRED, State.QUEUED, "451 4.7.1 later")
EXPIRED = (Attempt.Result.DEFERRED, State.EXPIRED, "451 4.7.1 later")
SENT = (Attempt.Result.SENT, State.RELAYED, "250 2.0.0 ok")


@pytest.fixture(autouse=True)
def settings_row() -> Settings:
    return Settings.load()


def learn(
    message: Message,
    *told: tuple[Attempt.Result, State, str],
    address: str = FRIEND,
    transport: str = "esmtp",
    nexthop: str = "mx:far.example",
    command: str = "RCPT TO:<friend@far.example>",
    remote: str = "mx.far.example [192.0.2.1]",
) -> None:
    """The outcomes of one batch with recipients of this address."""
    recipients = [leased(number, message, address) for number in range(len(told))]
    settlements = [
        Settlement(number, message.id, 1, state, result, reply, remote=remote, command=command)
        for number, (result, state, reply) in enumerate(told)
    ]
    batch = Batch(1, transport, nexthop, timezone.now(), tuple(recipients))
    backscatter.learn(batch, list(zip(recipients, settlements, strict=True)))


def leased(number: int, message: Message, address: str) -> LeasedRecipient:
    return LeasedRecipient(
        id=number,
        message_id=message.id,
        address=address,
        original_recipient="",
        notify="",
        attempts=1,
        expires_at=message.created_at,
        warn_at=None,
        created_at=message.created_at,
        reverse_path=message.reverse_path,
        ret="",
        envid="",
        smtputf8=False,
        eight_bit=False,
        size=1,
    )


def trouble() -> list[tuple[str, bool]]:
    return list(AddressTrouble.objects.order_by("address").values_list("address", "permanent"))


@pytest.mark.parametrize(
    ("told", "permanent"), [(BOUNCED, True), (EXPIRED, True), (DEFERRED, False)]
)
def test_a_failure_is_remembered_and_a_success_forgets_it(told, permanent):
    message = make_message(FRIEND)
    learn(message, told)
    assert trouble() == [(FRIEND, permanent)]
    known = backscatter.trouble_of(["nobody@far.example", FRIEND])
    assert known == backscatter.Trouble(FRIEND, permanent, told[2])
    learn(message, SENT)
    assert trouble() == []
    assert backscatter.trouble_of([FRIEND]) is None


def test_the_newest_counts():
    message = make_message(FRIEND)
    learn(message, BOUNCED)
    learn(message, DEFERRED)
    assert trouble() == [(FRIEND, False)]
    learn(message, DEFERRED, BOUNCED)
    assert trouble() == [(FRIEND, True)]
    learn(message, BOUNCED, SENT)
    assert trouble() == []


def test_a_deferral_that_is_repeated_is_not_written_every_time():
    message = make_message(FRIEND)
    learn(message, DEFERRED)
    first = AddressTrouble.objects.get().at
    learn(message, DEFERRED)
    assert AddressTrouble.objects.get().at == first
    AddressTrouble.objects.update(at=first - timedelta(hours=2))
    learn(message, DEFERRED)
    assert AddressTrouble.objects.get().at >= first


@pytest.mark.parametrize("source", ["submission", "local", "dsn", "forward"])
def test_only_mail_from_strangers_teaches_that_an_address_fails(source):
    learn(make_message(FRIEND, source=source), BOUNCED)
    assert trouble() == []
    learn(make_message(FRIEND), BOUNCED)
    learn(make_message(FRIEND, source=source), SENT)
    assert trouble() == []


def test_our_own_trouble_says_nothing_about_the_address():
    internal = (Attempt.Result.DEFERRED, State.QUEUED, "451 4.3.0 internal error")
    learn(make_message(FRIEND), internal, remote="")
    assert trouble() == []


def test_garbage_in_a_reply_is_stored():
    garbage = (Attempt.Result.BOUNCED, State.FAILED, "550 \x00 \udcff '; --")
    learn(make_message(FRIEND), garbage, address="o'brien\udcff@far.example")
    assert AddressTrouble.objects.count() == 1


def report(**fields: object) -> None:
    """A report of ours to far.example that its server refuses at MAIL FROM:<>."""
    reply = (Attempt.Result.BOUNCED, State.FAILED, "550 5.7.1 no bounces")
    message = make_message(FRIEND, reverse_path="", source="dsn")
    learn(message, reply, **{"command": "MAIL FROM:<> RET=HDRS", **fields})


def test_a_domain_whose_own_servers_refuse_reports_is_counted():
    for count in (1, 2, 3):
        report()
        row = DsnRefuser.objects.get()
        assert (row.domain, row.refusals) == ("far.example", count)
    assert row.reply == "550 5.7.1 no bounces"
    assert row.host == "mx.far.example [192.0.2.1]"
    assert row.expires_at - row.last_at == timedelta(days=7)


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "RCPT TO:<friend@far.example>"},
        {"command": "DATA"},
        {"command": ""},
        {"nexthop": "relay:smarthost.example:25"},
    ],
)
def test_other_refusals_are_not_the_domains_word_on_reports(fields):
    report(**fields)
    assert not DsnRefuser.objects.exists()


def test_only_a_final_refusal_of_the_null_sender_counts():
    at_mail = {"command": "MAIL FROM:<a@b.example>"}
    learn(make_message(FRIEND), BOUNCED, **at_mail)
    learn(make_message(FRIEND, reverse_path="", source="dsn"), DEFERRED, command="MAIL FROM:<>")
    assert not DsnRefuser.objects.exists()


def test_many_recipients_of_one_report_are_one_refusal():
    message = make_message(FRIEND, reverse_path="", source="dsn")
    learn(message, BOUNCED, BOUNCED, BOUNCED, command="MAIL FROM:<>")
    assert DsnRefuser.objects.get().refusals == 1


def test_what_has_expired_counts_anew():
    report()
    report()
    DsnRefuser.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    report()
    assert DsnRefuser.objects.get().refusals == 1


def test_nothing_is_counted_while_the_check_is_off():
    Settings.objects.update(dsn_blacklist=False)
    report()
    assert not DsnRefuser.objects.exists()


def test_the_change_of_policy_is_in_force_and_named():
    before = PolicyState.objects.get().version
    report()
    assert PolicyState.objects.get().version > before
    assert PolicyChange.objects.order_by("-version").first().actor == "delivery"


def add_refuser(domain: str, expires_at: datetime, *, exempt: bool = False) -> None:
    now = timezone.now()
    DsnRefuser.objects.create(
        domain=domain,
        reply="550 no",
        host="",
        first_at=now,
        last_at=now,
        expires_at=expires_at,
        exempt=exempt,
    )


def test_what_no_longer_counts_is_forgotten(settings_row):
    now = timezone.now()
    add_refuser("old.example", now - timedelta(seconds=1))
    add_refuser("exempt.example", now - timedelta(days=1), exempt=True)
    add_refuser("young.example", now + timedelta(days=1))
    for address, hours in (("old@x.example", 3), ("young@x.example", 1)):
        at = now - timedelta(hours=hours)
        AddressTrouble.objects.create(address=address, permanent=True, reply="550", at=at)
    assert backscatter.forget(settings_row, time.monotonic() + 5) == 2
    assert trouble() == [("young@x.example", True)]
    assert set(DsnRefuser.objects.values_list("domain", flat=True)) == {
        "exempt.example",
        "young.example",
    }
