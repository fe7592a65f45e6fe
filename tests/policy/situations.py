"""Facts and policies for tests of rules: a stranger, a user, and what they say."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from mta.policy.decision import Decision, Stage, decide
from mta.policy.facts import (
    Access,
    ContentFacts,
    DomainKind,
    Facts,
    MailFacts,
    Policy,
    RcptFacts,
    Resolution,
    SessionFacts,
    Standing,
    UserFacts,
)
from mta.policy.question import TROUBLE, Answer, Question

POLICY = Policy(
    version=7,
    hostname="mail.example.test",
    domains={"example.test": DomainKind.HOSTED, "backup.example": DomainKind.BACKUP},
)
STRANGER = SessionFacts(client_ip="192.0.2.9", helo="client.example.org")
BOB = "bob@example.test"
USER = replace(STRANGER, auth_user=BOB, tls="TLSv1.3")
LOCAL_PROGRAM = replace(STRANGER, client_ip="")
NO_ANSWER = Answer(TROUBLE, "no answer in time")

Answers = Mapping[Question, Answer]


def network(prefix: str = "192.0.2.0/24", **fields: Any) -> Access:
    return Access(ip_network(prefix), **{"allow": True, "relay": False, **fields})


def policy(*rules: Access, **fields: Any) -> Policy:
    """The policy with these access rules, in the order in which the directory gives them."""
    ordered = tuple(sorted(rules, key=lambda rule: -rule.network.prefixlen))
    return replace(POLICY, access=ordered, **fields)


def mail(
    reverse_path: str,
    under: Policy = POLICY,
    answers: Answers | None = None,
    session: SessionFacts = STRANGER,
    **fields: Any,
) -> Decision:
    """The decision on MAIL. With a user in the session, that user is known and enabled."""
    if session.auth_user:
        fields = {"user": UserFacts(session.auth_user), **fields}
    facts = Facts(session, mail=MailFacts(reverse_path, **fields), answers=answers or {})
    return decide(Stage.MAIL, facts, under)


def resolution(address: str, standing: Standing, *targets: str, **fields: Any) -> Resolution:
    return Resolution(address, standing, targets or (address,), ("because",), **fields)


def rcpt(
    where: Resolution,
    under: Policy = POLICY,
    answers: Answers | None = None,
    session: SessionFacts = STRANGER,
) -> Decision:
    facts = Facts(session, mail=MailFacts(""), rcpt=RcptFacts(where), answers=answers or {})
    return decide(Stage.RCPT, facts, under)


def content(
    under: Policy = POLICY,
    answers: Answers | None = None,
    session: SessionFacts = STRANGER,
    reverse_path: str = "a@b.example",
    **fields: Any,
) -> Decision:
    facts = Facts(
        session,
        mail=MailFacts(reverse_path),
        content=ContentFacts(100, **fields),
        answers=answers or {},
    )
    return decide(Stage.CONTENT, facts, under)


def step(decision: Decision, rule: str) -> str:
    """What that rule found, in the words of the trace."""
    return next(step.detail for step in decision.steps if step.rule == rule)
