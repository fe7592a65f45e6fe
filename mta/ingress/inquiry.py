"""Gets the answers that policy asks for: from the DNS and the directory, off the event loop.

What was answered a moment ago is not asked again, and sessions that want the same answer at the
same time share it. A transaction spends so many seconds on answers and no more; after that it is
told that there is trouble, which every rule takes as "later".
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from django.db import DatabaseError, InterfaceError

from mta.ingress.gate import reconnecting
from mta.policy.decision import Decision, Stage, decide
from mta.policy.facts import Facts, Policy
from mta.policy.question import TROUBLE, Answer, Question, Subject, Unanswered

log = logging.getLogger(__name__)

THREADS = 16
ANSWERS_KEPT = 50_000
TRANSACTION_SECONDS = 10.0

Answerer = Callable[[Question], Answer]
# Answers a question that only this session can: about its own mail.
Consult = Callable[[Question], Awaitable[Answer]]


class Inquiry:
    """One per ingress process. An answerer blocks; what it raises is trouble, and logged."""

    def __init__(self, answerers: Mapping[Subject, Answerer]) -> None:
        self._answerers = answerers
        self._threads = ThreadPoolExecutor(THREADS, "inquiry")
        self._known: dict[Question, tuple[float, Answer]] = {}
        self._asked: dict[Question, asyncio.Future[Answer]] = {}

    def known(self, question: Question) -> Answer | None:
        """An answer that may still be used; no I/O."""
        until, answer = self._known.get(question, (0.0, None))
        return answer if until > time.monotonic() else None

    async def ask(self, questions: Sequence[Question], seconds: float) -> list[Answer]:
        """The answers, side by side; trouble for those that do not come within `seconds`."""
        asked = [self._ask(question) for question in questions]
        await asyncio.wait(asked, timeout=max(0.0, seconds))
        return [_result(future) for future in asked]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, question: Question) -> "asyncio.Future[Answer]":
        loop = asyncio.get_running_loop()
        if (known := self.known(question)) is not None:
            answered: asyncio.Future[Answer] = loop.create_future()
            answered.set_result(known)
            return answered
        running = self._asked.get(question)
        if running is None:
            running = loop.run_in_executor(self._threads, self._answer, question)
            self._asked[question] = running
            running.add_done_callback(lambda done: self._answered(question, done))
        return running

    def _answered(self, question: Question, done: "asyncio.Future[Answer]") -> None:
        self._asked.pop(question, None)
        answer = _result(done)
        if answer.seconds > 0:
            if len(self._known) >= ANSWERS_KEPT:
                self._known.clear()
            self._known[question] = (time.monotonic() + answer.seconds, answer)

    def _answer(self, question: Question) -> Answer:
        """In a thread of the pool. A bug or a database that is away must not end a session."""
        try:
            return reconnecting(lambda: self._answerers[question.subject](question))
        except (DatabaseError, InterfaceError) as error:
            log.warning("%s: the database does not answer: %s", question.subject, error)
        except Exception:
            log.exception("%s failed", question)
        return Answer(TROUBLE, "internal error")


class Examiner:
    """Asks policy on behalf of one session."""

    def __init__(self, inquiry: Inquiry, seconds: float = TRANSACTION_SECONDS) -> None:
        self._inquiry = inquiry
        self._seconds = seconds
        self._left = seconds

    def begin(self) -> None:
        """A new transaction, with the whole time for its answers before it."""
        self._left = self._seconds

    async def judge(
        self, stage: Stage, facts: Facts, policy: Policy, consult: Consult | None = None
    ) -> tuple[Decision, Facts]:
        """The decision, and the facts with every answer that it used.

        `consult` answers what is about this mail alone; such an answer is shared with nobody, and
        takes its own time.
        """
        while True:
            try:
                return decide(stage, facts, policy), facts
            except Unanswered as missing:
                questions = missing.questions
            if consult is not None and questions[0].subject is Subject.SITE_FILTERS:
                answers = [await consult(question) for question in questions]
            else:
                answers = await self._answers(questions)
            found = dict(zip(questions, answers, strict=True))
            facts = replace(facts, answers={**facts.answers, **found})

    async def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        """What is known costs no turn of the event loop."""
        known = [self._inquiry.known(question) for question in questions]
        found = [answer for answer in known if answer is not None]
        if len(found) == len(questions):
            return found
        started = time.monotonic()
        answers = await self._inquiry.ask(questions, self._left)
        self._left -= time.monotonic() - started
        return answers


def _result(future: "asyncio.Future[Answer]") -> Answer:
    if not future.done():
        return Answer(TROUBLE, "no answer in time")
    if future.cancelled() or future.exception() is not None:
        return Answer(TROUBLE, "no answer")
    return future.result()
