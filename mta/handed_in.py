"""Step 3 for mail that comes without a session: of programs on this host, and by UUCP.

Its filters are those of the content. Whoever hands it in gets their refusal as an error; recipients
who are refused alone are reported, since a program has one answer only. Mail made here (reports,
forwards) is nobody's to filter.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mta import intake, maillog
from mta.filters import chain
from mta.ingress import transaction
from mta.ingress.division import divide
from mta.ingress.filtering import Filtering, said
from mta.ingress.transaction import Transaction
from mta.policy.decision import Decision, Stage, decide
from mta.policy.facts import Facts, MailFacts, Policy, RcptFacts, Resolution, SessionFacts
from mta.policy.question import Answer
from mta.policy.site_filter import question, site_filter_content, site_filter_verdict
from mta.protocol.envelope import Envelope, Recipient
from mta.protocol.filter_words import Disposition
from mta.protocol.parameters import MailParameters
from mta.protocol.site_filter import FilterStage
from mta.protocol.submission import SubmissionError
from mta.queue import commit
from mta.queue.commit import RefusalRecord, RoutedRecipient, failed_recipient


@dataclass(frozen=True, slots=True)
class Filtered:
    """What is to be queued. `told` goes into the history of the message."""

    resolved: Sequence[tuple[Recipient, Resolution]]
    content: bytes
    dispositions: Sequence[Disposition] = ()
    failed: Sequence[RoutedRecipient] = ()
    told: dict[str, Any] = field(default_factory=dict)


def judge(
    envelope: Envelope,
    resolved: Sequence[tuple[Recipient, Resolution]],
    content: bytes,
    arrival: intake.Arrival,
    policy: Policy,
    uid: int | None = None,
) -> Filtered:
    """What the site filters leave of it; blocks. Raises SubmissionError when they refuse it."""
    if not policy.filters_at(FilterStage.CONTENT, envelope.source):
        return Filtered(resolved, content)
    return _Judging(envelope, resolved, arrival, policy, uid).filtered(content)


class _Judging:
    """The end of a transaction that never had a client."""

    def __init__(
        self,
        envelope: Envelope,
        resolved: Sequence[tuple[Recipient, Resolution]],
        arrival: intake.Arrival,
        policy: Policy,
        uid: int | None,
    ) -> None:
        self._arrival = arrival
        self._policy = policy
        self._session = SessionFacts(
            client_ip="",
            listener="",
            helo=envelope.helo,
            auth_user=envelope.auth_user,
            handed_in=envelope.source,
            uid=uid,
        )
        mail = MailFacts(envelope.reverse_path, smtputf8=envelope.smtputf8)
        accepted = [
            (recipient, RcptFacts(resolution, place, address=recipient.address))
            for place, (recipient, resolution) in enumerate(resolved)
        ]
        self._current = Transaction(policy, mail, MailParameters(), accepted)
        self._refusals: list[RefusalRecord] = []

    def filtered(self, content: bytes) -> Filtered:
        facts = self._asked(content)
        decision = decide(Stage.CONTENT, facts, self._policy, (site_filter_content,))
        self._log(decision, "")
        if not decision.accepted:
            self._refuse(decision)
        division = divide(self._current, self._verdicts(facts))
        for recipient, verdict in division.refusals:
            self._record(verdict, recipient.address)
        commit.commit([], self._refusals)
        if not division.is_taken:
            reply = division.common_refusal()
            raise SubmissionError(reply.code, reply.status, reply.text)
        at = self._arrival.at
        told = [transaction.decision_record(decision, "", at)]
        told += [
            transaction.decision_record(verdict, each.address, at)
            for each, verdict in division.unwilling
        ]
        chained = said(FilterStage.CONTENT, facts)
        return Filtered(
            resolved=[(recipient, rcpt.resolution) for recipient, rcpt in division.kept],
            content=content if chained.content is None else chained.content,
            dispositions=chained.dispositions,
            failed=[failed_recipient(each, no.reply, at) for each, no in division.failed],
            told={"decisions": told},
        )

    def _asked(self, content: bytes) -> Facts:
        """The facts with the filters' answer."""

        async def message() -> bytes:
            return content

        facts = self._current.facts(self._session)
        asked = question(FilterStage.CONTENT, facts)
        filtering = Filtering(self._policy.hostname, chain.run)
        consult = filtering.of_content(self._session, self._current, self._arrival, message)

        async def answer() -> Answer:
            return await consult(asked)

        return replace(facts, answers={asked: asyncio.run(answer())})

    def _verdicts(self, facts: Facts) -> list[Decision]:
        rules = (site_filter_verdict,)
        return [
            decide(Stage.VERDICT, replace(facts, rcpt=rcpt), self._policy, rules)
            for _, rcpt in self._current.accepted
        ]

    def _refuse(self, decision: Decision) -> None:
        self._record(decision, " ".join(each.address for each, _ in self._current.accepted[:20]))
        commit.commit([], self._refusals)
        reply = decision.reply
        raise SubmissionError(reply.code, reply.status, reply.text)

    def _record(self, decision: Decision, recipient: str) -> None:
        reverse_path = self._current.mail.reverse_path
        self._refusals.append(
            transaction.refusal_record(
                decision, self._session, reverse_path, recipient, self._arrival.at
            )
        )
        maillog.refused(
            client_ip="",
            helo=self._session.source.value,
            stage=decision.stage.value,
            reverse_path=reverse_path,
            recipient=recipient,
            rule=decision.rule,
            reply=str(decision.reply),
        )

    def _log(self, decision: Decision, recipient: str) -> None:
        """What filters that only log would have refused."""
        for step in decision.logged:
            self._refusals.append(
                transaction.logged_record(
                    decision,
                    step,
                    self._session,
                    self._current.mail.reverse_path,
                    recipient,
                    self._arrival.at,
                )
            )
