"""The rule against guessing: who is limited, and that trouble is no way around it."""

import pytest

from mta.policy.decision import Stage, decide
from mta.policy.facts import AuthFacts, Facts, Limits, Policy, RuleState, SessionFacts
from mta.policy.question import TROUBLE, Answer, Question, Subject, Unanswered

POLICY = Policy(version=1, hostname="mail.example.test", limits=Limits(auth_failures=5))
CLIENT = "203.0.113.9"
QUESTION = Question(Subject.AUTH_FAILURES, (CLIENT,))


def ask(answer=None, *, client_ip=CLIENT, accepted=None, policy=POLICY):
    session = SessionFacts(client_ip, tls="TLSv1.3")
    facts = Facts(session=session, auth=AuthFacts("PLAIN", accepted=accepted))
    if answer is not None:
        facts = Facts(session=session, auth=facts.auth, answers={QUESTION: answer})
    return decide(Stage.AUTH, facts, policy)


@pytest.mark.parametrize(("failures", "code"), [("0", 235), ("4", 235), ("5", 454), ("99", 454)])
def test_the_limit(failures, code):
    decision = ask(Answer(failures))
    assert decision.reply.code == code
    assert (decision.rule == "auth_failures") is (code == 454)


def test_without_an_answer_nobody_guesses():
    with pytest.raises(Unanswered):
        ask()
    assert ask(Answer(TROUBLE, "no answer in time")).reply.code == 454


def test_who_is_not_limited():
    assert ask(client_ip="127.0.0.1").accepted
    assert ask(client_ip="::1").accepted
    assert ask(policy=Policy(version=1, hostname="x", limits=Limits(auth_failures=0))).accepted
    off = Policy(version=1, hostname="x", rule_states={"auth_failures": RuleState.OFF})
    assert ask(policy=off).accepted


def test_the_failure_itself_is_a_matter_of_the_credentials():
    decision = ask(accepted=False)
    assert (decision.rule, decision.reply.code) == ("credentials", 535)
