"""The rules as a client meets them: over the wire, with a DNS, and with each change in force for
the next MAIL."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import timezone

from mta.models import (
    AccessRule,
    AddressTrouble,
    BadMailHost,
    BadSender,
    DnsList,
    Domain,
    DsnRefuser,
    FreemailDomain,
    Mailbox,
    Recipient,
    Refusal,
    RuleState,
    SenderGrant,
    SpamTrap,
)
from tests.ingress.conftest import PASSWORD
from tests.support.dns import DnsServer, Trouble, reverse, txt
from tests.support.smtp_session import Client, Ingress
from tests.support.waiting import eventually

ZONE = {
    "good.example": {"MX": ["10 mx.good.example"], "TXT": txt("v=spf1 ip4:127.0.0.1 -all")},
    "mx.good.example": {"A": ["192.0.2.1"]},
    "strict.example": {"A": ["192.0.2.2"], "TXT": txt("v=spf1 exp=why.strict.example -all")},
    "why.strict.example": {"TXT": txt("only from our own hosts")},
    "literal.example": {"MX": ["10 mx.good.example", "20 192.0.2.3"]},
    "null.example": {"MX": ["0 ."]},
    "loop.example": {"CNAME": ["loop2.example"]},
    "loop2.example": {"CNAME": ["loop.example"]},
    "broken.example": Trouble.SERVFAIL,
    "free.example": {"A": ["192.0.2.4"]},
    "1.0.0.127.bl.example": {"A": ["127.0.0.2"], "TXT": txt("seen in a trap")},
    "1.0.0.127.wl.example": {"A": ["127.0.0.5"]},
    reverse("127.0.0.1"): {"PTR": ["client.example.org"]},
    "client.example.org": {"A": ["127.0.0.1"]},
}
BOB, ANN = "bob@example.test", "ann@example.test"


@pytest.fixture(autouse=True)
def dns(settings) -> Iterator[DnsServer]:
    with DnsServer(ZONE) as server:
        settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=server.address)
        yield server


@pytest.fixture
def client(ingress: Ingress) -> Iterator[Client]:
    with ingress.connect() as client:
        yield client


@pytest.fixture
def bob(ingress: Ingress, change) -> Iterator[Client]:
    """A session of the user bob."""
    change(auth_in_clear_on_loopback=True)
    with ingress.connect() as client:
        assert client.login("bob@example.test", PASSWORD).startswith("235")
        yield client


def mail_from(client: Client, sender: str) -> str:
    reply = client.command(f"MAIL FROM:<{sender}>")
    client.command("RSET")
    return reply


def rcpt_to(client: Client, recipient: str, sender: str = "a@b.example") -> str:
    assert client.command(f"MAIL FROM:<{sender}>").startswith("250")
    reply = client.command(f"RCPT TO:<{recipient}>")
    client.command("RSET")
    return reply


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("a@good.example", "250"),
        ("", "250"),
        ("a@[192.0.2.1]", "250"),
        ("a@example.test", "250"),
        ("a@nowhere.example", "550 5.1.8"),
        ("a@literal.example", "550 5.1.8"),
        ("a@loop.example", "550 5.1.8"),
        ("a@null.example", "550 5.7.27"),
        ("a@broken.example", "451 4.4.3"),
    ],
)
def test_the_senders_domain(client, change, sender, reply):
    change(checkdns=True)
    assert mail_from(client, sender).startswith(reply)


def test_the_check_is_switched_on_and_off_between_two_messages(client, change):
    assert mail_from(client, "a@nowhere.example").startswith("250")
    change(checkdns=True)
    assert mail_from(client, "a@nowhere.example").startswith("550")
    RuleState.objects.create(rule="sender_domain", state="log")
    assert mail_from(client, "a@nowhere.example").startswith("250")
    RuleState.objects.update(state="off")
    assert mail_from(client, "a@nowhere.example").startswith("250")
    RuleState.objects.all().delete()
    assert mail_from(client, "a@nowhere.example").startswith("550")


def test_what_a_rule_would_have_refused_is_on_record(client, change):
    change(checkdns=True)
    RuleState.objects.create(rule="sender_domain", state="log")
    assert client.mail(BOB, sender="a@nowhere.example").startswith("250")
    record = eventually(lambda: Refusal.objects.filter(rule="sender_domain").first())
    assert (record.enforced, record.code) == (False, 550)


def test_a_network_has_terms_of_its_own(client, change):
    change(checkdns=True)
    AccessRule.objects.create(prefix="127.0.0.0/8", checkdns=False)
    assert mail_from(client, "a@nowhere.example").startswith("250")


def test_bad_senders_hosts_and_refusers(client, change):
    assert mail_from(client, "x@sub.good.example").startswith("250")
    BadSender.objects.create(pattern="@.good.example")
    assert mail_from(client, "x@sub.good.example").startswith("550 5.7.1")
    change(checkdns=True)
    assert mail_from(client, "x@good.example").startswith("250")
    BadMailHost.objects.create(network="192.0.2.0/30")
    assert mail_from(client, "x@good.example").startswith("550 5.7.1")
    BadMailHost.objects.all().delete()
    now = timezone.now()
    row = DsnRefuser.objects.create(
        domain="good.example",
        refusals=3,
        reply="550 no",
        host="mx",
        first_at=now,
        last_at=now,
        expires_at=now + timezone.timedelta(days=1),
    )
    assert mail_from(client, "x@good.example").startswith("550 5.7.1")
    row.exempt = True
    row.save()
    assert mail_from(client, "x@good.example").startswith("250")


def test_free_mail_from_a_host_of_another_name(client):
    free = FreemailDomain.objects.create(domain="free.example")
    assert mail_from(client, "x@free.example").startswith("550 5.7.1")
    free.partners = "example.org"
    free.save()
    assert mail_from(client, "x@free.example").startswith("250")


def test_spf(client, change):
    change(spf_mailfrom="pass,none,neutral")
    assert mail_from(client, "a@good.example").startswith("250")
    refused = mail_from(client, "a@strict.example")
    assert refused.startswith("550 5.7.23")
    assert "only from our own hosts" in refused
    assert mail_from(client, "a@broken.example").startswith("451 4.7.24")
    change(spf_mailfrom="all", spf_from="pass")
    forged = b"From: x@strict.example\r\nSubject: x\r\n\r\nx\r\n"
    assert client.mail(BOB, content=forged, sender="a@good.example").startswith("550 5.7.23")


def test_helo(client, ingress, change):
    change(checkhelo=1)
    assert mail_from(client, "a@b.example").startswith("250")
    client.command("EHLO somebody-else.example")
    assert mail_from(client, "a@b.example").startswith("550 5.7.1 HELO somebody-else.example")
    change(checkhelo=2)
    assert mail_from(client, "a@b.example").startswith("451 4.7.1")


def test_dns_lists_refuse_recipients_of_strangers_only(client, bob):
    block = DnsList.objects.create(zone="bl.example", text="*")
    assert rcpt_to(client, BOB) == "550 5.7.1 seen in a trap"
    assert rcpt_to(bob, ANN, sender=BOB).startswith("250")
    block.answers = "127.0.0.9"
    block.save()
    assert rcpt_to(client, BOB).startswith("250")
    block.answers = "127.0.0.0/24"
    block.save()
    assert rcpt_to(client, BOB).startswith("550")
    DnsList.objects.create(zone="wl.example", action="allow")
    assert rcpt_to(client, BOB).startswith("250")


def test_a_list_that_is_narrowed_to_garbage_lists_nobody(client):
    DnsList.objects.create(zone="bl.example", answers="127.0.0.two")
    assert rcpt_to(client, BOB).startswith("250")


def test_a_blocked_network_may_sign_in(client, bob):
    AccessRule.objects.create(prefix="127.0.0.1/32", action="block", text="450 not now")
    assert rcpt_to(client, BOB) == "450 4.7.1 not now"
    assert rcpt_to(bob, ANN, sender=BOB).startswith("250")


def test_who_may_send_as_whom(bob):
    assert mail_from(bob, BOB).startswith("250")
    assert mail_from(bob, "").startswith("250")
    assert mail_from(bob, "sales@example.test").startswith("250")
    for other in ("team@example.test", ANN, "bob@elsewhere.example"):
        assert mail_from(bob, other).startswith("553 5.7.1")
    mailbox = Mailbox.objects.get(local_part="bob")
    SenderGrant.objects.create(mailbox=mailbox, pattern="@elsewhere.example")
    assert mail_from(bob, "bob@elsewhere.example").startswith("250")
    assert mail_from(bob, ANN).startswith("553")


def test_an_address_that_failed_lately(client, bob, change):
    def failed(address: str, *, permanent: bool) -> None:
        AddressTrouble.objects.create(
            address=address, permanent=permanent, reply="550 no", at=timezone.now()
        )

    failed("friend@elsewhere.example", permanent=True)
    failed("x@backup.example", permanent=False)
    failed(BOB, permanent=True)
    assert rcpt_to(client, "away@example.test").startswith("556 5.1.0 <away@example.test>")
    assert rcpt_to(client, "x@backup.example").startswith("456 4.1.0")
    assert rcpt_to(client, "y@backup.example").startswith("250")
    assert rcpt_to(client, BOB).startswith("250")
    assert rcpt_to(bob, "away@example.test", sender=BOB).startswith("250")
    change(suppress_backscatter=False)
    assert rcpt_to(client, "away@example.test").startswith("250")


def test_a_trap_refuses_the_message_for_all(client):
    SpamTrap.objects.create(address="carl@example.test")
    assert client.mail(BOB, "all@example.test").startswith("550 5.7.1")
    assert not Recipient.objects.exists()
    assert client.mail(BOB).startswith("250")


def test_recipients_beyond_the_limit(client, change):
    change(maxrcpts=1)
    assert client.mail(BOB, ANN).startswith("452 4.5.3")
    client.command("RSET")
    change(maxrcpts_hard=True)
    assert client.mail(BOB, ANN).startswith("550 5.5.3")


def test_a_mailbox_has_limits_of_its_own(client, settings, tmp_path: Path):
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, home=tmp_path)
    big = b"Subject: x\r\n\r\n" + b"x\r\n" * 1000
    Mailbox.objects.filter(local_part="bob").update(sizelimit=2000)
    assert client.mail(BOB, content=big).startswith("552 5.3.4")
    assert client.mail(BOB).startswith("250")
    Mailbox.objects.filter(local_part="bob").update(sizelimit=0, quota=2000)
    assert client.mail(BOB, content=big).startswith("452 4.2.2")
    assert client.mail("sales@example.test", content=big).startswith("452 4.2.2")
    assert client.mail(BOB).startswith("250")
    assert client.mail(ANN, content=big).startswith("250")


def test_another_name_of_this_host(client):
    assert rcpt_to(client, "bob@other-name.example").startswith("550 5.7.1")
    Domain.objects.create(name="other-name.example", kind=Domain.Kind.LOCAL)
    assert rcpt_to(client, "bob@other-name.example").startswith("550 5.1.1")
    home = Domain.objects.create(name="mail.example.test")
    Mailbox.objects.create(domain=home, local_part="bob")
    assert client.mail("Bob@other-name.example").startswith("250")
    row = Recipient.objects.get()
    assert (row.address, row.transport) == ("bob@mail.example.test", "local")
    assert rcpt_to(client, "nobody@other-name.example").startswith("550 5.1.1")


def test_no_rule_that_spares_a_client_lets_it_relay(client, change):
    change(checkdns=True, spf_mailfrom="all,allowok")
    DnsList.objects.create(zone="wl.example", action="allow")
    AccessRule.objects.create(prefix="127.0.0.1/32", checkdns=False, spf=False, dnslists=False)
    for victim in ("victim@elsewhere.example", "victim@strict.example", "x%y.example@b.example"):
        assert rcpt_to(client, victim).startswith("550 5.7.1 relaying denied")
