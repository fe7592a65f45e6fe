"""Steps 1 to 3 in order: what policy is asked from the first octet of a session to its message.

The session calls these steps as the client speaks; `mta.explain` calls the same ones for a
session that never was. Nothing here writes to the queue or to the client.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from mta import intake
from mta.ingress import content as contents
from mta.ingress import transaction
from mta.ingress.arguments import Mail
from mta.ingress.filtering import Filtering, said
from mta.ingress.house import House
from mta.ingress.inquiry import Examiner
from mta.ingress.transaction import Record, Transaction
from mta.ingress.wire import Data
from mta.policy.decision import Decision, Stage
from mta.policy.facts import AuthFacts, Facts, Policy, RcptFacts, SessionFacts
from mta.protocol.envelope import Recipient
from mta.protocol.site_filter import FilterStage
from mta.queue.commit import Submission

_Result = TypeVar("_Result")

# Octets beyond which a content is worked on in a thread.
LARGE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a content. `content` is what goes into the queue, None when refused, and
    `arrival` as what it goes there.

    `verdicts` are the decisions on each accepted recipient, in their order; empty when the
    content itself was refused. `filtered` is the message with its trace as filters changed it, None
    when none has.
    """

    decision: Decision
    facts: Facts
    content: bytes | None
    arrival: intake.Arrival
    verdicts: tuple[Decision, ...] = ()
    filtered: bytes | None = None


class Reception:
    """The steps of one session."""

    def __init__(self, house: House, examiner: Examiner, filtering: Filtering) -> None:
        self._house = house
        self._examiner = examiner
        self._filtering = filtering

    async def connect(self, session: SessionFacts, policy: Policy) -> tuple[Decision, Facts]:
        consult = self._filtering.of_client(session, policy)
        return await self._examiner.judge(Stage.CONNECT, Facts(session=session), policy, consult)

    async def hello(self, session: SessionFacts, policy: Policy) -> tuple[Decision, Facts]:
        return await self._examiner.judge(Stage.HELO, Facts(session=session), policy)

    async def authenticate(
        self, session: SessionFacts, auth: AuthFacts, policy: Policy
    ) -> tuple[Decision, Facts]:
        facts = Facts(session=session, auth=auth)
        return await self._examiner.judge(Stage.AUTH, facts, policy)

    async def open(
        self, session: SessionFacts, mail: Mail, policy: Policy
    ) -> tuple[Decision, Facts, Transaction]:
        """MAIL. The transaction is that of the session if the decision is to accept."""
        self._examiner.begin()
        facts = mail.facts
        if session.auth_user:
            user = await self._house.gate.user(session.auth_user)
            sender = None
            if facts.reverse_path:
                (sender,) = await self._house.gate.resolutions([facts.reverse_path])
            facts = replace(facts, user=user, sender=sender)
        opened = Transaction(policy, facts, mail.parameters)
        decision, used = await self._examiner.judge(
            Stage.MAIL,
            opened.facts(session),
            policy,
            self._filtering.of_sender(session, opened),
        )
        opened.answers = used.answers
        opened.dispositions.extend(said(FilterStage.SENDER, used).dispositions)
        return decision, used, opened

    async def recipient(
        self, session: SessionFacts, current: Transaction, recipient: Recipient
    ) -> tuple[Decision, Facts]:
        """RCPT. An accepted recipient is added to the transaction."""
        (resolution,) = await self._house.gate.resolutions([recipient.address])
        rcpt = RcptFacts(resolution, len(current.accepted), address=recipient.address)
        facts = current.facts(session, rcpt=rcpt)
        consult = self._filtering.of_recipient(session, current, recipient)
        decision, used = await self._examiner.judge(Stage.RCPT, facts, current.policy, consult)
        current.answers = used.answers
        if decision.accepted:
            current.accepted.append((recipient, rcpt))
            current.dispositions.extend(said(FilterStage.RECIPIENT, used).dispositions)
        return decision, used

    async def content(self, session: SessionFacts, current: Transaction, data: Data) -> Judgement:
        """The end of DATA: the content as a whole, then each recipient's own word on it."""
        policy = current.policy
        terms = policy.terms_for(session.client_ip, session.listener)
        received = data.content or b""
        arrival = intake.Arrival(self._house.ids.next(), datetime.now(UTC))
        in_thread = len(received) > LARGE
        reading = await _run(
            in_thread, lambda: contents.read(received, session, current, terms, arrival)
        )
        measured = replace(reading.facts, size=data.size)
        facts = current.facts(session, content=measured)
        ready = _Ready(
            lambda: _run(in_thread, lambda: contents.finish(reading, policy, terms, arrival))
        )

        async def message() -> bytes:
            return transaction.traced(current, session, await ready(), arrival)

        consult = self._filtering.of_content(session, current, arrival, message)
        decision, facts = await self._examiner.judge(Stage.CONTENT, facts, policy, consult)
        current.answers = facts.answers
        if not decision.accepted or data.content is None:
            return Judgement(decision, facts, None, arrival)
        chain = said(FilterStage.CONTENT, facts)
        current.dispositions.extend(chain.dispositions)
        verdicts = []
        for _, rcpt in current.accepted:
            asked = replace(facts, rcpt=rcpt)
            verdict, facts = await self._examiner.judge(Stage.VERDICT, asked, policy)
            verdicts.append(verdict)
        finished = await ready()
        return Judgement(decision, facts, finished, arrival, tuple(verdicts), chain.content)

    def submission(
        self,
        session: SessionFacts,
        current: Transaction,
        content: bytes,
        arrival: intake.Arrival,
        history: list[Record],
        filtered: bytes | None = None,
    ) -> Submission:
        """The message as it would be committed, aliases expanded and routed."""
        return transaction.make_submission(
            current, session, content, arrival, self._house.router, history, filtered
        )


class _Ready:
    """The content as it is finished for the queue: once, and when it is first asked for."""

    def __init__(self, finish: Callable[[], Awaitable[bytes]]) -> None:
        self._finish = finish
        self._finished: bytes | None = None

    async def __call__(self) -> bytes:
        if self._finished is None:
            self._finished = await self._finish()
        return self._finished


async def _run(in_thread: bool, work: Callable[[], _Result]) -> _Result:
    """Large contents are worked on in a thread, so that other sessions go on meanwhile."""
    return await asyncio.to_thread(work) if in_thread else work()
