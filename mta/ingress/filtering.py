"""Step 3, the site filters of one session: what they are told, and their word as an answer.

Policy asks for it by a question (`mta.policy.site_filter`); where there is no filter for a stage
and a source, it asks nothing, and nothing here is called.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from mta.ingress.house import Filters
from mta.ingress.inquiry import Consult
from mta.ingress.transaction import Transaction
from mta.intake import Arrival
from mta.policy import answers
from mta.policy.facts import Facts, Policy, SessionFacts
from mta.policy.question import Answer, Question
from mta.policy.site_filter import question
from mta.protocol.envelope import Recipient
from mta.protocol.filter_words import ChainVerdict
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.site_filter import FilterRequest, FilterStage

# Gives the message as it would be queued.
Message = Callable[[], Awaitable[bytes]]


def _whatever(seconds: float) -> None:
    """Nobody waits for an answer so long."""


class Filtering:
    """Asks the site filters for one session. `allow` is told how many seconds they may take."""

    def __init__(
        self, hostname: str, filters: Filters, allow: Callable[[float], None] = _whatever
    ) -> None:
        self._hostname = hostname
        self._filters = filters
        self._allow = allow

    def of_client(self, session: SessionFacts, policy: Policy) -> Consult:
        async def consult(asked: Question) -> Answer:
            return await self._ask(self._request(FilterStage.CONNECT, session), policy)

        return consult

    def of_sender(self, session: SessionFacts, current: Transaction) -> Consult:
        async def consult(asked: Question) -> Answer:
            request = self._of_mail(FilterStage.SENDER, session, current)
            return await self._ask(request, current.policy)

        return consult

    def of_recipient(
        self, session: SessionFacts, current: Transaction, recipient: Recipient
    ) -> Consult:
        async def consult(asked: Question) -> Answer:
            request = self._of_mail(FilterStage.RECIPIENT, session, current)
            recipients = (*request.recipients, recipient.address)
            return await self._ask(replace(request, recipients=recipients), current.policy)

        return consult

    def of_content(
        self, session: SessionFacts, current: Transaction, arrival: Arrival, message: Message
    ) -> Consult:
        async def consult(asked: Question) -> Answer:
            request = replace(
                self._of_mail(FilterStage.CONTENT, session, current),
                content=await message(),
                queue_id=encode_queue_id(arrival.id),
                at=arrival.at.timestamp(),
            )
            return await self._ask(request, current.policy, current.unseen)

        return consult

    async def _ask(
        self, request: FilterRequest, policy: Policy, unseen: frozenset[str] = frozenset()
    ) -> Answer:
        terms = policy.filters_at(request.stage, request.source)
        self._allow(sum(each.timeout for each in terms))
        chain = await self._filters(terms, request, unseen=unseen)
        return answers.site_filters_answer(chain)

    def _request(self, stage: FilterStage, session: SessionFacts) -> FilterRequest:
        return FilterRequest(
            stage=stage,
            source=session.source,
            hostname=self._hostname,
            client_ip=session.client_ip,
            helo=session.helo,
            listener=session.listener,
            auth_user=session.auth_user,
            tls=session.tls,
            uid=session.uid,
            at=time.time(),
        )

    def _of_mail(
        self, stage: FilterStage, session: SessionFacts, current: Transaction
    ) -> FilterRequest:
        return replace(
            self._request(stage, session),
            reverse_path=current.mail.reverse_path,
            recipients=tuple(recipient.address for recipient, _ in current.accepted),
        )


def said(stage: FilterStage, facts: Facts) -> ChainVerdict:
    """What the filters of a stage have said, by the facts that were used; nothing if not asked."""
    answer = facts.answers.get(question(stage, facts))
    return (answer and answer.chain) or ChainVerdict()
