"""Rules about the return address."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mta.policy import answers
from mta.policy.facts import Terms, UserFacts
from mta.policy.question import Answer, Unanswered
from mta.protocol.host_name import NameState
from mta.protocol.sender_domain import DomainOutcome
from tests.policy.situations import (
    BOB,
    LOCAL_PROGRAM,
    NO_ANSWER,
    POLICY,
    STRANGER,
    USER,
    mail,
    network,
    policy,
    step,
)

WITHOUT_DNS = replace(POLICY, terms=Terms(checkdns=False))
ASKED = answers.sender_domain("b.example")
GOOD = {ASKED: Answer(DomainOutcome.OK, values=("198.51.100.1",))}


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Answer(DomainOutcome.OK), "250 2.1.0"),
        (Answer(DomainOutcome.NO_SUCH_DOMAIN, "b.example does not exist"), "550 5.1.8"),
        (Answer(DomainOutcome.BROKEN_MX, "the MX is an IP address"), "550 5.1.8"),
        (Answer(DomainOutcome.CNAME_LOOP, "a circle"), "550 5.1.8"),
        (Answer(DomainOutcome.NO_ADDRESS, "nothing"), "550 5.1.8"),
        (Answer(DomainOutcome.NULL_MX, "takes no mail"), "550 5.7.27"),
        (NO_ANSWER, "451 4.4.3"),
    ],
)
def test_a_domain_that_could_get_no_report_is_refused(answer, reply):
    decision = mail("a@b.example", answers={ASKED: answer})
    assert str(decision.reply).startswith(reply)
    if not decision.accepted:
        assert decision.rule == "sender_domain"
        assert "b.example" in decision.reply.text and answer.text in decision.reply.text


def test_a_strangers_domain_is_asked_about():
    with pytest.raises(Unanswered) as missing:
        mail("a@b.example")
    assert missing.value.questions == (ASKED,)


@pytest.mark.parametrize(
    ("reverse_path", "session"),
    [
        ("", STRANGER),
        ("a@[192.0.2.1]", STRANGER),
        ("a@example.test", STRANGER),
        ("a@backup.example", STRANGER),
        ("postmaster@mail.example.test", STRANGER),
        (BOB, USER),
    ],
)
def test_who_needs_no_dns(reverse_path, session):
    assert mail(reverse_path, session=session).accepted


def test_the_dns_check_can_be_off_for_a_network():
    assert mail("a@b.example", policy(network(terms={"checkdns": False}))).accepted
    # Where no recipient will be accepted, the DNS need not be asked.
    assert mail("a@b.example", policy(network(blocks=True))).accepted


def test_a_network_that_may_relay_is_asked_too():
    with pytest.raises(Unanswered):
        mail("a@b.example", policy(network(relay=True)))


@pytest.mark.parametrize("reverse_path", ["spam@bad.example", "x@all.example", "x@a.sub.example"])
def test_bad_senders(reverse_path):
    patterns = frozenset({"spam@bad.example", "@all.example", "@.sub.example"})
    decision = mail(reverse_path, replace(WITHOUT_DNS, bad_senders=patterns))
    assert decision.rule == "bad_sender"
    assert str(decision.reply).startswith("550 5.7.1")
    assert mail("good@bad.example", replace(WITHOUT_DNS, bad_senders=patterns)).accepted
    assert mail("", replace(WITHOUT_DNS, bad_senders=patterns)).accepted


FREEMAIL = replace(WITHOUT_DNS, freemail={"free.example": ("free.example", "partner.example")})
CLIENT_NAME = answers.host_name(STRANGER.client_ip)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Answer(NameState.NAME, "out1.free.example"), "250"),
        (Answer(NameState.NAME, "free.example"), "250"),
        (Answer(NameState.NAME, "mx.partner.example"), "250"),
        (NO_ANSWER, "250"),
        (Answer(NameState.NAME, "dialup.example"), "550 5.7.1"),
        (Answer(NameState.NAME, "notfree.example"), "550 5.7.1"),
        (Answer(NameState.NONE), "550 5.7.25"),
        # Anybody can write any name into their own reverse zone.
        (Answer(NameState.MISMATCH, "out1.free.example"), "550 5.7.25"),
    ],
)
def test_free_mail_comes_from_its_own_hosts(answer, reply):
    decision = mail("a@free.example", FREEMAIL, {CLIENT_NAME: answer})
    assert str(decision.reply).startswith(reply)


def test_free_mail_of_our_own_people_is_not_checked():
    anybody = UserFacts(BOB, may_send_as=("*",))
    assert mail("a@free.example", FREEMAIL, session=USER, user=anybody).accepted
    assert mail("a@free.example", FREEMAIL, session=LOCAL_PROGRAM).accepted


def test_free_mail_of_a_network_that_may_relay_is_not_checked():
    granted = policy(network(relay=True), freemail=FREEMAIL.freemail, terms=Terms(checkdns=False))
    assert mail("a@free.example", granted).accepted


def test_bad_mail_hosts():
    bad = replace(POLICY, bad_mail_hosts=(ip_network("198.51.100.0/28"),))
    decision = mail("a@b.example", bad, GOOD)
    assert decision.rule == "bad_mail_host"
    assert str(decision.reply).startswith("550 5.7.1")
    others = {ASKED: Answer(DomainOutcome.OK, values=("198.51.100.99", "2001:db8::1"))}
    assert mail("a@b.example", bad, others).accepted
    assert mail(BOB, bad).accepted


def test_a_domain_whose_servers_refuse_reports():
    refusing = replace(WITHOUT_DNS, dsn_refusers={"b.example": "550 we take no bounces"})
    decision = mail("a@b.example", refusing)
    assert decision.rule == "dsn_refuser"
    assert str(decision.reply).startswith("550 5.7.1")
    assert "no bounces" in step(decision, "dsn_refuser")
    assert mail("a@c.example", refusing).accepted
    assert mail("", refusing).accepted
