"""One mail transaction: from MAIL to the end of DATA (RFC 5321 3.3).

It collects the envelope and the decisions on it, and turns both with the content into what is
committed. No sockets here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mta import intake
from mta.policy import answers, mailbox_filter, site_filter
from mta.policy.decision import Decision, Step
from mta.policy.facts import (
    Facts,
    MailFacts,
    Policy,
    RcptFacts,
    SessionFacts,
    Stance,
)
from mta.policy.question import Answer, Question, Subject
from mta.protocol import trace
from mta.protocol.envelope import Envelope, Recipient
from mta.protocol.filter_words import Disposition
from mta.protocol.parameters import MailParameters
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.received_spf import received_spf
from mta.queue.commit import RefusalRecord, Submission, storable

Record = dict[str, Any]


@dataclass(slots=True)
class Transaction:
    """What the client has given so far. `policy` is the version that judges all of it, `answers`
    what was looked up for it, `dispositions` what filters want done with it."""

    policy: Policy
    mail: MailFacts
    parameters: MailParameters
    accepted: list[tuple[Recipient, RcptFacts]] = field(default_factory=list)
    decisions: list[Record] = field(default_factory=list)
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    dispositions: list[Disposition] = field(default_factory=list)

    def facts(self, session: SessionFacts, **stage: Any) -> Facts:
        return Facts(session=session, mail=self.mail, answers=self.answers, **stage)

    @property
    def heard_alone(self) -> bool:
        """Whether the client asked for each recipient's own word after DATA."""
        return self.parameters.exdata or self.parameters.prdr

    @property
    def stances(self) -> tuple[Stance, ...]:
        return tuple(rcpt.stance for _, rcpt in self.accepted)

    @property
    def unseen(self) -> frozenset[str]:
        """The recipients whose owners take the message whatever it holds."""
        return frozenset(each.address for each, rcpt in self.accepted if rcpt.unseen)

    def envelope(self, session: SessionFacts) -> Envelope:
        return Envelope(
            reverse_path=self.mail.reverse_path,
            recipients=tuple(recipient for recipient, _ in self.accepted),
            source=session.source,
            ret=self.parameters.ret,
            envid=self.parameters.envid,
            smtputf8=self.mail.smtputf8,
            verp=self.parameters.verp,
            requiretls=self.parameters.requiretls,
            auth_user=storable(session.auth_user),
            client_ip=session.client_ip,
            helo=session.helo,
        )


def traced(
    transaction: Transaction, session: SessionFacts, content: bytes, arrival: intake.Arrival
) -> bytes:
    """The message with our trace on top: what SPF said, and the Received field."""
    only = transaction.accepted[0][0].address if len(transaction.accepted) == 1 else ""
    received = trace.received(
        helo=session.helo,
        client_ip=session.client_ip,
        hostname=transaction.policy.hostname,
        protocol=trace.with_protocol(
            esmtp=session.esmtp,
            tls=bool(session.tls),
            authenticated=bool(session.auth_user),
            smtputf8=transaction.mail.smtputf8,
        ),
        queue_id=encode_queue_id(arrival.id),
        at=arrival.at,
        tls=session.tls,
        auth_user=session.auth_user,
        recipient=only,
    )
    return b"".join([*_received_spf(transaction, session), received, content])


def make_submission(
    transaction: Transaction,
    session: SessionFacts,
    content: bytes,
    arrival: intake.Arrival,
    router: intake.Router,
    history: list[Record],
    filtered: bytes | None = None,
) -> Submission:
    """The message for the committer, its Received header on top.

    `history` are the decisions on the session before this transaction. `filtered` is the message
    with its trace as filters have changed it, None when none has.
    """
    stored = traced(transaction, session, content, arrival) if filtered is None else filtered
    accepted = {
        "session": describe(session),
        "decisions": history + transaction.decisions,
        "size": len(stored),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return intake.prepare(
        arrival,
        transaction.envelope(session),
        [(recipient, rcpt.resolution) for recipient, rcpt in transaction.accepted],
        stored,
        transaction.policy,
        router,
        accepted,
        transaction.dispositions,
    )


def _received_spf(transaction: Transaction, session: SessionFacts) -> Iterator[bytes]:
    """One header for each identity that SPF was asked about (RFC 7208 9.1)."""
    for question, answer in transaction.answers.items():
        if question.subject is Subject.SPF:
            yield received_spf(
                answers.spf_result(question, answer),
                reverse_path=transaction.mail.reverse_path,
                helo=session.helo,
                remote_host="",
                hostname=transaction.policy.hostname,
            )


def describe(session: SessionFacts) -> Record:
    """The session for the history."""
    described = {
        "client_ip": session.client_ip,
        "helo": storable(session.helo),
        "listener": session.listener,
        "tls": session.tls,
        "auth_user": storable(session.auth_user),
    }
    return described | {"proxy_ip": session.proxy_ip} if session.proxy_ip else described


def decision_record(decision: Decision, subject: str, at: datetime) -> Record:
    """A decision for the history of an accepted message.

    Of the steps only the one that answered is kept: `decide` is pure and the version is known,
    so that the rest can be told again. What filters and owners of mailboxes said cannot, and is
    kept.
    """
    said = [step for step in decision.steps[:-1] if _is_of_a_filter(step) or _is_of_an_owner(step)]
    last = [*said, *decision.steps[-1:]]
    return {
        "at": at.isoformat(),
        "stage": decision.stage.value,
        "subject": storable(subject),
        "verdict": decision.verdict.value,
        "rule": decision.rule,
        "reply": str(decision.reply),
        "version": decision.version,
        "steps": [
            {"rule": step.rule, "matched": step.matched, "detail": storable(step.detail)}
            for step in last
        ],
    }


def _is_of_a_filter(step: Step) -> bool:
    return step.rule.startswith(site_filter.PREFIX)


def _is_of_an_owner(step: Step) -> bool:
    is_owners = step.rule == mailbox_filter.mailbox_filter.__name__
    return is_owners and step.detail != mailbox_filter.NO_RULES.detail


def refusal_record(
    decision: Decision,
    session: SessionFacts,
    reverse_path: str | None,
    recipient: str,
    at: datetime,
) -> RefusalRecord:
    """A refusal for the history, with every step of its decision."""
    return RefusalRecord(
        at=at,
        stage=decision.stage.value,
        client_ip=session.client_ip,
        helo=session.helo,
        auth_user=session.auth_user,
        reverse_path=reverse_path,
        recipient=recipient,
        code=decision.reply.code,
        status=decision.reply.status,
        text=decision.reply.text,
        rule=decision.rule,
        policy_version=decision.version,
        trace=[
            {"rule": step.rule, "matched": step.matched, "detail": storable(step.detail)}
            for step in decision.steps
        ],
        session=describe(session),
    )


def logged_record(
    decision: Decision,
    step: Step,
    session: SessionFacts,
    reverse_path: str | None,
    recipient: str,
    at: datetime,
) -> RefusalRecord:
    """What a rule that only logs would have refused."""
    assert step.reply is not None
    as_if = replace(decision, reply=step.reply, rule=step.rule)
    record = refusal_record(as_if, session, reverse_path, recipient, at)
    return replace(record, enforced=False)
