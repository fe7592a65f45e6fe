"""Addresses that failed lately."""

from dataclasses import replace

import pytest

from mta.policy import answers
from mta.policy.answers import Trouble
from mta.policy.facts import RouteFact, Standing
from mta.policy.question import Answer, Unanswered
from tests.policy.situations import (
    LOCAL_PROGRAM,
    NO_ANSWER,
    POLICY,
    USER,
    network,
    policy,
    rcpt,
    resolution,
)

ANN, FRIEND, OTHER = "ann@example.test", "friend@far.example", "other@far.example"
AWAY = resolution("away@example.test", Standing.ALIAS, FRIEND)
LIST = resolution("list@example.test", Standing.ALIAS, ANN, FRIEND, OTHER, is_list=True)
BACKUP = resolution("x@backup.example", Standing.BACKUP)


def trouble(word: str, *addresses: str) -> dict:
    return {answers.address_trouble(addresses): Answer(word, "550 no", addresses[:1])}


@pytest.mark.parametrize(
    ("word", "reply"),
    [
        (Trouble.NONE, "250"),
        (Trouble.FAILED, "556 5.1.0 <away@example.test>"),
        (Trouble.DEFERRED, "456 4.1.0 <away@example.test>"),
    ],
)
def test_an_address_that_leaves(word, reply):
    assert str(rcpt(AWAY, answers=trouble(word, FRIEND)).reply).startswith(reply)


def test_members_of_a_list_count_but_are_not_named_to_the_sender():
    decision = rcpt(LIST, answers=trouble(Trouble.FAILED, FRIEND, OTHER))
    assert decision.reply.code == 556
    assert "far.example" not in decision.reply.text
    assert FRIEND in decision.steps[-1].detail


def test_a_domain_that_we_keep_mail_for():
    assert rcpt(BACKUP, answers=trouble(Trouble.FAILED, "x@backup.example")).reply.code == 556


def test_what_ends_in_mailboxes_here_is_not_asked_about():
    assert rcpt(resolution(ANN, Standing.MAILBOX)).accepted
    assert rcpt(resolution("sales@example.test", Standing.ALIAS, ANN)).accepted


def test_a_hosted_domain_that_a_route_takes_away_leaves_too():
    away = replace(POLICY, routes={"example.test": RouteFact("example.test", "[192.0.2.5]", 25)})
    with pytest.raises(Unanswered):
        rcpt(resolution("sales@example.test", Standing.ALIAS, ANN), away)


@pytest.mark.parametrize("session", [USER, LOCAL_PROGRAM])
def test_only_strangers_are_refused(session):
    assert rcpt(AWAY, session=session).accepted


def test_when_it_is_not_asked():
    assert rcpt(AWAY, policy(network(relay=True))).accepted
    assert rcpt(AWAY, replace(POLICY, suppress_backscatter=False)).accepted


def test_a_database_that_does_not_answer_refuses_nobody():
    assert rcpt(AWAY, answers={answers.address_trouble((FRIEND,)): NO_ANSWER}).accepted
