"""The simulator: what would a session be told, and why.

It walks a session that never was through the very steps of the ingress
(`mta.ingress.reception`), with the policy in force. Nothing is queued, recorded or counted. The
console and the command `explain` call it.
"""

import asyncio
import time
from collections import UserDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NoReturn

from django.db import connection
from django.utils import timezone

from mta import runtime
from mta.answers import ANSWERERS
from mta.explanation import Asked, Destination, Explanation, Passage, Request, checked
from mta.ingress import arguments, content
from mta.ingress.arguments import BadArgument
from mta.ingress.division import divide
from mta.ingress.filtering import Filtering
from mta.ingress.house import House, Listener
from mta.ingress.inquiry import Answerer, Consult, Examiner, Inquiry
from mta.ingress.reception import Reception
from mta.ingress.transaction import Transaction
from mta.ingress.wire import Data
from mta.intake import Arrival
from mta.policy import limits, routing
from mta.policy.decision import Decision, Stage, Step, Verdict, decide
from mta.policy.facts import AuthFacts, Facts, Policy, Resolution, SessionFacts
from mta.policy.question import Answer, Question, Subject
from mta.protocol.filter_words import NOT_ASKED, ChainVerdict, FilterWord
from mta.protocol.reply import Reply
from mta.protocol.site_filter import FilterRequest, FilterTerms
from mta.queue.commit import RoutedRecipient, failed_recipient, storable

# What a session under TLS is described as; rules only ask whether there is anything.
ASSUMED_TLS = "assumed"
# Stands for the message when a session is explained that ends before DATA.
NO_MESSAGE = b"\r\n"


def explain(request: Request) -> Explanation:
    """What would become of it. Blocks: the DNS and the database are asked, for 10 s at most.

    Raises BadRequest, and DatabaseError when the database is away.
    """
    request = checked(request)
    house = runtime.ingress_house()
    watch = _Stopwatch(ANSWERERS)
    house.inquiry.close()
    house.inquiry = Inquiry(watch.answerers)
    try:
        return asyncio.run(_Walk(house, watch, request).walk())
    finally:
        house.inquiry.close()
        house.gate.close()
        house.committer.close()


async def _would_be_asked(
    terms: Sequence[FilterTerms],
    request: FilterRequest,
    *,
    unseen: frozenset[str] = frozenset(),
) -> ChainVerdict:
    """Which filters have a word; they are not asked, since some of them count what they see."""
    return ChainVerdict(
        tuple(
            FilterWord(each.name, each.kind, each.state, NOT_ASKED, "it would be asked here")
            for each in terms
            if each.mandatory or not unseen.issuperset(request.recipients)
        )
    )


class _Refused(Exception):
    """The session would go no further."""


class _Stopwatch:
    """Answerers that take down how long each answer took."""

    def __init__(self, answerers: Mapping[Subject, Answerer]) -> None:
        self.answerers = {
            subject: partial(self._ask, answerer) for subject, answerer in answerers.items()
        }
        self._seconds: dict[Question, float] = {}

    def seconds(self, question: Question) -> float:
        return self._seconds.get(question, 0.0)

    def _ask(self, answerer: Answerer, question: Question) -> Answer:
        started = time.monotonic()
        try:
            return answerer(question)
        finally:
            self._seconds[question] = time.monotonic() - started
            # The thread ends with this explanation, and its connection must not outlive it.
            connection.close()


class _Consulted(UserDict[Question, Answer]):
    """Answers that remember which of them were looked at, in order."""

    def __init__(self, answers: Mapping[Question, Answer]) -> None:
        super().__init__(answers)
        self.questions: dict[Question, None] = {}

    def __getitem__(self, question: Question) -> Answer:
        answer = super().__getitem__(question)
        self.questions.setdefault(question)
        return answer


class _Witness(Examiner):
    """Asks policy as for a session, and remembers which answers each decision wanted."""

    def __init__(self, inquiry: Inquiry, watch: _Stopwatch) -> None:
        super().__init__(inquiry)
        self._watch = watch
        self._seen: list[tuple[Decision, tuple[Asked, ...]]] = []

    async def judge(
        self, stage: Stage, facts: Facts, policy: Policy, consult: Consult | None = None
    ) -> tuple[Decision, Facts]:
        decision, used = await super().judge(stage, facts, policy, consult)
        # Some answers come from an earlier stage. A decision is pure, so it can be made once more
        # to see which of them it looks at.
        consulted = _Consulted(used.answers)
        decide(stage, replace(used, answers=consulted), policy)
        asked = tuple(
            Asked(question, used.answers[question], self._watch.seconds(question))
            for question in consulted.questions
        )
        self._seen.append((decision, asked))
        return decision, used

    def asked_for(self, decision: Decision) -> tuple[Asked, ...]:
        return next(asked for seen, asked in self._seen if seen is decision)


class _Walk:
    """One walk through the stages; `walk` is its table of contents."""

    def __init__(self, house: House, watch: _Stopwatch, request: Request) -> None:
        self._house = house
        self._request = request
        self._policy: Policy = house.gate.policy
        self._witness = _Witness(house.inquiry, watch)
        filtering = Filtering(house.hostname, _would_be_asked)
        self._reception = Reception(house, self._witness, filtering)
        self._passages: list[Passage] = []
        self._session = _session(request)

    async def walk(self) -> Explanation:
        destinations: tuple[Destination, ...] = ()
        try:
            await self._connect()
            await self._hello()
            await self._authenticate()
            if self._request.reverse_path is not None:
                opened = await self._open(self._request.reverse_path)
                await self._recipients(opened)
                destinations = await self._content(opened)
        except _Refused:
            pass
        return Explanation(self._request, self._policy.version, tuple(self._passages), destinations)

    async def _connect(self) -> None:
        decision, _ = await self._reception.connect(self._session, self._policy)
        self._passed(decision, self._session.client_ip)

    async def _hello(self) -> None:
        try:
            name = arguments.parse_hello(self._request.helo)
        except BadArgument as error:
            self._malformed(Stage.HELO, self._request.helo, error.reply)
            raise _Refused from error
        tls = ASSUMED_TLS if self._request.tls else ""
        self._session = replace(self._session, helo=name, tls=tls)
        decision, _ = await self._reception.hello(self._session, self._policy)
        self._passed(decision, name)

    async def _authenticate(self) -> None:
        user = storable(self._request.auth_user)
        if not user:
            return
        known = await self._house.gate.user(user)
        auth = AuthFacts("PLAIN", user, known.enabled)
        decision, _ = await self._reception.authenticate(self._session, auth, self._policy)
        self._passed(decision, user)
        self._session = replace(self._session, auth_user=user)

    async def _open(self, reverse_path: str) -> Transaction:
        typed = (reverse_path, *self._request.recipients)
        parameters = "" if all(address.isascii() for address in typed) else " SMTPUTF8"
        try:
            mail = arguments.parse_mail(f"FROM:<{reverse_path}>{parameters}")
        except BadArgument as error:
            self._malformed(Stage.MAIL, reverse_path, error.reply)
            raise _Refused from error
        decision, _, opened = await self._reception.open(self._session, mail, self._policy)
        self._passed(decision, mail.facts.reverse_path or "<>")
        return opened

    async def _recipients(self, opened: Transaction) -> None:
        for typed in self._request.recipients:
            try:
                recipient = arguments.parse_rcpt(
                    f"TO:<{typed}>", self._house.hostname, smtputf8=opened.mail.smtputf8
                )
            except BadArgument as error:
                self._malformed(Stage.RCPT, typed, error.reply)
                continue
            decision, facts = await self._reception.recipient(self._session, opened, recipient)
            resolution = facts.rcpt.resolution if facts.rcpt else None
            self._note(decision, recipient.address, resolution)
        if not opened.accepted:
            raise _Refused

    async def _content(self, opened: Transaction) -> tuple[Destination, ...]:
        """Where the message would go; without one, where any message would."""
        if self._request.content is None:
            arrival = Arrival(self._house.ids.next(), timezone.now())
            return self._destinations(opened, NO_MESSAGE, arrival)
        data = self._data(self._request.content, opened)
        judgement = await self._reception.content(self._session, opened, data)
        self._passed(judgement.decision, f"{data.size} octets")
        if judgement.content is None:
            raise _Refused
        terms = self._policy.terms_for(self._session.client_ip, self._session.listener)
        division = divide(opened, judgement.verdicts, unasked=terms.exdata)
        for recipient, verdict in division.judged:
            self._note(verdict, recipient.address)
        if not division.is_taken:
            self._nobody(division.common_refusal())
        at = judgement.arrival.at
        kept = replace(opened, accepted=division.kept)
        failed = [failed_recipient(each, verdict.reply, at) for each, verdict in division.failed]
        return (
            *self._destinations(kept, judgement.content, judgement.arrival),
            *(self._destination(row) for row in failed),
        )

    def _data(self, message: bytes, opened: Transaction) -> Data:
        received = as_received(message)
        limit = limits.size_limit(opened.facts(self._session), self._policy)
        too_big = len(received) > limit
        return Data(None if too_big else received, len(received), too_big=too_big)

    def _destinations(
        self, opened: Transaction, message: bytes, arrival: Arrival
    ) -> tuple[Destination, ...]:
        submission = self._reception.submission(self._session, opened, message, arrival, [])
        return tuple(self._destination(row) for row in submission.recipients)

    def _destination(self, row: RoutedRecipient) -> Destination:
        return _destination(row, self._policy, self._request.reverse_path or "")

    # --- the record ---------------------------------------------------------------------------

    def _passed(self, decision: Decision, subject: str) -> None:
        """Note a decision that ends the session when it refuses."""
        self._note(decision, subject)
        if not decision.accepted:
            raise _Refused

    def _note(self, decision: Decision, subject: str, resolution: Resolution | None = None) -> None:
        asked = self._witness.asked_for(decision)
        self._passages.append(Passage(decision, subject, asked, resolution))

    def _nobody(self, reply: Reply) -> NoReturn:
        """Recipients who refuse for different reasons are answered with one reply."""
        if reply != self._passages[-1].decision.reply:
            self._told(Stage.VERDICT, "all recipients", reply, "all")
        raise _Refused

    def _malformed(self, stage: Stage, subject: str, reply: Reply) -> None:
        """What no rule sees because the command itself cannot be read."""
        self._told(stage, subject, reply, "syntax", Step("syntax", True, reply.text))

    def _told(self, stage: Stage, subject: str, reply: Reply, rule: str, *steps: Step) -> None:
        """Note a refusal that is no rule's."""
        verdict = Verdict.DEFER if reply.is_transient else Verdict.REFUSE
        decision = Decision(stage, verdict, reply, rule, steps, self._policy.version)
        self._passages.append(Passage(decision, subject))


def as_received(message: bytes) -> bytes:
    """A message from a file as a client would send it.

    Files have the line ends of their system: when there is no CRLF at all, LF is made CRLF. A
    mixture is sent as it is, since that is what policy may have a word on.
    """
    if b"\r\n" not in message:
        message = content.normalize_line_ends(message)
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def _session(request: Request) -> SessionFacts:
    """The connection; STARTTLS comes later, a listener under TLS has it from the first octet."""
    listener = _listener(request.listener)
    return SessionFacts(
        client_ip=request.client_ip,
        listener=listener.name,
        auth_required=listener.auth_required,
        tls=ASSUMED_TLS if listener.implicit_tls else "",
    )


def _listener(name: str) -> Listener:
    return next(door.listener for door in runtime.ingress_doors() if door.listener.name == name)


def _destination(row: RoutedRecipient, policy: Policy, reverse_path: str) -> Destination:
    route = routing.applied_route(row.address, policy, reverse_path)
    return Destination(
        address=row.address,
        state=row.state.value,
        transport=row.transport,
        nexthop=row.nexthop,
        route=routing.route_text(route) if route and row.nexthop else "",
        first_attempt=row.next_attempt,
        expires_at=row.expires_at,
        notify=row.notify,
        original_recipient=row.original_recipient,
        return_path=row.return_path,
    )
