"""Rules about who the client is: blocked networks, DNS lists, HELO."""

from dataclasses import replace

import pytest

from mta.policy import answers
from mta.policy.answers import Listed
from mta.policy.facts import DnsListFact, RuleState, SpfTerms, Standing, Terms
from mta.policy.question import Answer, Unanswered
from mta.protocol.sender_domain import HeloOutcome
from mta.protocol.spf import Identity, Result
from tests.policy.situations import (
    LOCAL_PROGRAM,
    NO_ANSWER,
    POLICY,
    STRANGER,
    USER,
    mail,
    network,
    policy,
    rcpt,
    resolution,
    step,
)

HERE = resolution("ann@example.test", Standing.MAILBOX)
NOBODY = resolution("x@example.test", Standing.UNKNOWN)


def test_a_blocked_network_reads_its_text_at_rcpt():
    blocked = policy(network(blocks=True, text="go away"))
    decision = rcpt(HERE, blocked)
    assert decision.rule == "blocked_network"
    assert str(decision.reply) == "550 5.7.1 go away"
    assert rcpt(HERE, blocked, session=USER).accepted
    assert rcpt(HERE, blocked, session=replace(STRANGER, client_ip="198.51.100.1")).accepted


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("", "550 5.7.1 your network may not send mail here"),
        ("450 later perhaps", "450 4.7.1 later perhaps"),
        ("571 never", "571 5.7.1 never"),
        ("250 welcome", "550 5.7.1 250 welcome"),
        ("2001 reasons", "550 5.7.1 2001 reasons"),
        ("554", "554 5.7.1 not permitted"),
        ("٥٥٠ digits", "550 5.7.1 ٥٥٠ digits"),
    ],
)
def test_the_text_may_begin_with_a_reply_code(text, reply):
    assert str(rcpt(HERE, policy(network(blocks=True, text=text))).reply) == reply


def listed(zone: str, *found: str, text: str = "") -> dict:
    word = Listed.YES if found else Listed.NO
    return {answers.dns_list(STRANGER.client_ip, zone): Answer(word, text, found)}


def lists(*facts: DnsListFact, **fields):
    return replace(POLICY, dns_lists=facts, **fields)


BLOCK = DnsListFact("bl.example")


@pytest.mark.parametrize(
    ("fact", "reply"),
    [
        (BLOCK, "550 5.7.1 192.0.2.9 is listed by bl.example"),
        (replace(BLOCK, text="*"), "550 5.7.1 spam was seen"),
        (replace(BLOCK, text="not you"), "550 5.7.1 not you"),
        (replace(BLOCK, text="451 come back"), "451 4.7.1 come back"),
        (replace(BLOCK, answers=("127.0.0.2",)), "550 5.7.1"),
        (replace(BLOCK, answers=("127.0.0.0/24",)), "550 5.7.1"),
        (replace(BLOCK, answers=("127.0.0.3",)), "250"),
        (replace(BLOCK, state=RuleState.LOG), "250"),
        (replace(BLOCK, state=RuleState.OFF), "250"),
    ],
)
def test_who_is_on_a_block_list(fact, reply):
    found = listed("bl.example", "127.0.0.2", text="spam was seen")
    decision = rcpt(HERE, lists(fact), found)
    assert str(decision.reply).startswith(reply)
    assert bool(decision.logged) is (fact.state is RuleState.LOG)


def test_a_list_does_not_choose_the_reply_code():
    found = listed("bl.example", "127.0.0.2", text="421 hang up")
    assert str(rcpt(HERE, lists(replace(BLOCK, text="*")), found).reply) == "550 5.7.1 421 hang up"
    silent = listed("bl.example", "127.0.0.2")
    assert "192.0.2.9" in rcpt(HERE, lists(replace(BLOCK, text="*")), silent).reply.text


def test_who_is_on_no_list_and_lists_that_do_not_answer():
    two = lists(BLOCK, DnsListFact("other.example"))
    quiet = {answers.dns_list(STRANGER.client_ip, "other.example"): NO_ANSWER}
    assert rcpt(HERE, two, {**listed("bl.example"), **quiet}).accepted


def test_all_lists_are_asked_side_by_side():
    with pytest.raises(Unanswered) as missing:
        rcpt(HERE, lists(BLOCK, DnsListFact("other.example")))
    assert len(missing.value.questions) == 2


def test_an_allow_list_spares_whatever_the_order():
    both = lists(BLOCK, DnsListFact("good.example", allows=True))
    bad = listed("bl.example", "127.0.0.2")
    assert rcpt(HERE, both, {**bad, **listed("good.example", "127.0.0.5")}).accepted
    assert not rcpt(HERE, both, {**bad, **listed("good.example")}).accepted


def test_a_list_that_only_logs_does_not_hide_one_that_decides():
    log = DnsListFact("log.example", state=RuleState.LOG)
    found = {**listed("log.example", "127.0.0.2"), **listed("bl.example", "127.0.0.2")}
    assert rcpt(HERE, lists(log, BLOCK), found).rule == "dns_lists"


@pytest.mark.parametrize("session", [USER, LOCAL_PROGRAM])
def test_who_is_not_looked_up_in_lists(session):
    assert rcpt(HERE, lists(BLOCK), session=session).accepted


def test_networks_may_be_spared_from_the_lists():
    assert rcpt(HERE, policy(network(relay=True), dns_lists=(BLOCK,))).accepted
    assert rcpt(HERE, policy(network(terms={"dnslists": False}), dns_lists=(BLOCK,))).accepted


def test_no_list_makes_a_recipient_good():
    allow = lists(DnsListFact("good.example", allows=True))
    found = listed("good.example", "127.0.0.5")
    assert rcpt(NOBODY, allow, found).rule == "unknown_here"
    foreign = resolution("x@elsewhere.example", Standing.FOREIGN)
    assert rcpt(foreign, allow, found).rule == "denied"


HELO = answers.helo(STRANGER.helo, STRANGER.client_ip)


def checking(mode: int, **fields):
    return replace(POLICY, terms=Terms(checkdns=False, checkhelo=mode), **fields)


@pytest.mark.parametrize(
    ("mode", "answer", "reply"),
    [
        (1, Answer(HeloOutcome.OK), "250"),
        (1, Answer(HeloOutcome.MISMATCH, "not an address of it"), "550 5.7.1"),
        (1, Answer(HeloOutcome.NONEXISTENT), "550 5.7.1"),
        (1, Answer(HeloOutcome.CNAME_LOOP), "550 5.7.1"),
        (1, NO_ANSWER, "451 4.4.3"),
        (2, Answer(HeloOutcome.MISMATCH), "451 4.7.1"),
        (2, NO_ANSWER, "451 4.4.3"),
    ],
)
def test_helo_must_name_the_client(mode, answer, reply):
    assert str(mail("a@b.example", checking(mode), {HELO: answer}).reply).startswith(reply)


def test_who_is_not_asked_for_a_good_helo():
    assert mail("a@b.example", checking(0)).accepted
    assert mail("a@b.example", checking(1), session=LOCAL_PROGRAM).accepted
    assert mail(USER.auth_user, checking(1), session=USER).accepted
    relays = policy(network(relay=True), terms=Terms(checkdns=False, checkhelo=1))
    assert mail("a@b.example", relays).accepted


def test_spf_can_vouch_for_the_helo_name():
    spf = SpfTerms(helo=frozenset({"all"}))
    vouched = answers.spf(Identity.HELO, STRANGER.client_ip, STRANGER.helo)
    found = {vouched: Answer(Result.PASS), HELO: Answer(HeloOutcome.MISMATCH)}
    decision = mail("a@b.example", checking(1, spf=spf), found)
    assert decision.accepted
    assert "SPF" in step(decision, "helo_check")
    found[vouched] = Answer(Result.NEUTRAL, "neither", ("", "", "", "", ""))
    assert not mail("a@b.example", checking(1, spf=spf), found).accepted
