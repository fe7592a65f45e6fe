"""Step 5 to 7 for one batch: check its routes, let the transport deliver, settle the outcomes."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.db import DatabaseError
from django.utils import timezone

from mta.policy import routing
from mta.protocol.reply import Reply
from mta.queue import lease, outcomes
from mta.queue.destinations import Lesson
from mta.queue.lease import Batch, LeasedRecipient
from mta.scheduler import settle
from mta.scheduler.backoff import Backoff
from mta.scheduler.batching import known_contents, messages
from mta.scheduler.contents import Contents
from mta.scheduler.health import Impression
from mta.scheduler.journal import FLUSH_COUNT, Journal, persist
from mta.scheduler.workshop import Workshop
from mta.transports.base import (
    DeliveryContext,
    DeliveryRequest,
    Outcome,
    Pool,
    QueuedMessage,
    Transport,
)

log = logging.getLogger(__name__)

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

# An open session goes on with what waits for its destination for so long.
SESSION_SECONDS = 60.0
# With hundreds of sessions at once, each holds little.
FRUGAL_PRELOAD = 512 * 1024

_NOBODY = Reply(550, "5.1.1", "no such user here")


class Delivery:
    """One batch on its way through a transport; `run` is the whole of it."""

    def __init__(self, batch: Batch, transport: Transport, shop: Workshop) -> None:
        self._batch = batch
        self._transport = transport
        self._shop = shop
        self._waits = transport.pool is Pool.REMOTE
        self._open = {recipient.id: recipient for recipient in batch.recipients}
        self._noted: set[int] = set()
        self._journal = Journal(batch, partial(shop.write, transport), teaches=self._waits)
        self._impression = Impression()
        self._contents = (
            Contents(preload=FRUGAL_PRELOAD, large=1, room=shop.room, lent=self._lent)
            if self._waits
            else Contents()
        )
        self._end_of_session = time.monotonic() + SESSION_SECONDS

    def run(self) -> None:
        shop = self._shop
        length: timedelta = shop.directory.settings.lease
        with shop.keeper.holding(self._batch.lease_id, length):
            try:
                with self._lent():
                    self._check_routes(self._batch.recipients)
                self._deliver()
                self._settle_the_rest()
                self._teach()
            finally:
                # Whatever went wrong: what is known is written, the rest is left to the lease.
                self._contents.close()
                self._journal.write(last=not self._open)
        if self._journal.has_reports:
            shop.reports_due()

    def _lent(self) -> AbstractContextManager[None]:
        return self._shop.lent(self._transport)

    def _check_routes(self, recipients: Iterable[LeasedRecipient]) -> None:
        """Addresses are routed anew at every attempt, so that a change helps queued mail."""
        here = (self._batch.transport, self._batch.nexthop)
        moved: list[tuple[int, str, str]] = []
        for recipient in recipients:
            if recipient.pinned:
                continue
            try:
                route = self._route(recipient)
            except routing.CannotTell as error:
                self._settle(settle.deferred(recipient.id, str(error)))
                continue
            if route is None:
                self._settle(settle.bounced(recipient.id, _NOBODY))
            elif route != here:
                moved.append((recipient.id, *route))
                del self._open[recipient.id]
        if moved:
            outcomes.reroute(self._batch, moved)
            for name in {transport for _, transport, _ in moved}:
                self._shop.nudge(name)

    def _route(self, recipient: LeasedRecipient) -> tuple[str, str] | None:
        """By the policy in force. Raises CannotTell."""
        book = self._shop.directory.book(recipient.reverse_path)
        return routing.choose(recipient.address, self._shop.transports, book)

    def _deliver(self) -> None:
        queued = self._hold()
        if not queued:
            return
        request = DeliveryRequest(self._transport.name, self._batch.nexthop, queued)
        try:
            for outcome in self._transport.deliver(request, self._context()):
                self._settle(outcome)
                self._journal.write_now_and_then()
        except DatabaseError:
            raise
        except lease.LeaseLost as lost:
            log.warning("%s: what is left of its batch is somebody else's work", lost)
            self._open.clear()
        except Exception:
            # A transport's bug must not lose mail or spin: what is left is deferred, on record.
            log.exception("transport %s failed on %s", self._transport.name, self._batch.nexthop)
            for recipient_id in list(self._open):
                self._settle(settle.deferred(recipient_id, "internal error, will be tried again"))

    def _hold(self) -> tuple[QueuedMessage, ...]:
        """What is open as messages, with their contents at hand."""
        queued = tuple(messages(self._open.values()))
        self._contents.hold(queued, known_contents(self._open.values()))
        return queued

    def _context(self) -> DeliveryContext:
        context = self._shop.context(self._contents, self._committing)
        return replace(
            context,
            more=self._more,
            tls_seen=self._journal.saw_tls,
            credentials=self._with_database(context.credentials),
            sts=self._with_database(context.sts),
            alias_instructions=self._with_database(context.alias_instructions),
        )

    def _with_database(self, question: Callable[[_Asked], _Answer]) -> Callable[[_Asked], _Answer]:
        """The same question, with a database connection for as long as it takes."""

        def ask(about: _Asked) -> _Answer:
            with self._lent():
                return question(about)

        return ask

    def _more(self) -> Sequence[QueuedMessage]:
        """The next messages for an open session, so that it need not be opened anew; not for
        ever, since others may wait for the slot."""
        if not self._waits or time.monotonic() > self._end_of_session or self._open:
            return ()
        self._teach()
        self._journal.write()
        taken = self._shop.claim(self._transport, self._batch)
        if taken is not None:
            self._adopt(taken.recipients)
            with self._lent():
                self._check_routes(taken.recipients)
        return self._hold()

    def _adopt(self, taken: Iterable[LeasedRecipient]) -> None:
        self._open |= {recipient.id: recipient for recipient in taken}

    def _teach(self) -> None:
        """What this batch showed of its destination; of one that is down, also what that means
        for those whose warning or expiry is due."""
        verdict, self._impression = self._impression.verdict(), Impression()
        if verdict is None or not self._waits:
            return
        batch = self._batch
        lesson = Lesson(
            batch.transport,
            batch.nexthop,
            verdict.health,
            verdict.reply,
            verdict.pause,
            self._shop.directory.settings.retryalpha,
        )
        self._journal.learnt(lesson)
        if verdict.pause:
            self._give_up_overdue(verdict.reply)

    def _give_up_overdue(self, reply: str) -> None:
        while True:
            # Not before what is known is written: that it is down, and why.
            self._journal.write()
            with self._lent():
                overdue = lease.take_overdue(self._batch, FLUSH_COUNT)
            if not overdue:
                return
            self._adopt(overdue)
            for recipient in overdue:
                self._settle(settle.unreachable(recipient.id, reply))

    def _committing(self, recipient_ids: Iterable[int]) -> None:
        """Before a final dot. What was sent before is written first, so that a crash leaves one
        message of this session uncertain and not many."""
        ids = [recipient_id for recipient_id in recipient_ids if recipient_id in self._open]
        self._journal.start(ids)
        self._noted.update(ids)

    def _settle(self, outcome: Outcome) -> None:
        recipient = self._open.get(outcome.recipient_id)
        if recipient is None:
            log.error(
                "transport %s reported recipient %s, which was not asked or was reported before",
                self._transport.name,
                outcome.recipient_id,
            )
            return
        self._forward(recipient, outcome)
        self._follow_up(recipient, outcome)
        del self._open[recipient.id]
        # What a route sends somewhere keeps its route: that is the administrator's word.
        by_mx = self._batch.nexthop.startswith("mx:")
        backup = self._shop.directory.backuprelay if by_mx else ""
        judge = settle.Judge(self._transport.done, self._backoff, timezone.now(), backup)
        self._journal.add(recipient, outcome, judge.settle(recipient, outcome))
        self._impression.add(outcome)

    def _forward(self, recipient: LeasedRecipient, outcome: Outcome) -> None:
        """What is sent on is in the queue before the recipient is done: a crash in between sends it
        on neither twice nor never."""
        if not outcome.forwards:
            return
        content = outcome.content
        if content is None:
            content = self._contents(recipient.message_id)
        with self._lent():
            persist(
                lambda: self._shop.forward(recipient, outcome.forwards, content),
                f"what {recipient.address} forwards waits",
            )

    def _follow_up(self, recipient: LeasedRecipient, outcome: Outcome) -> None:
        """What rules ask for besides, on the same terms."""
        todo = outcome.follow_up
        if todo is None or not todo.is_something:
            return
        with self._lent():
            persist(
                lambda: self._shop.follow_up(recipient, todo),
                f"what the rules of {recipient.address} ask for waits",
            )

    def _backoff(self, address: str) -> Backoff:
        return Backoff.of(self._shop.directory.policy.times_for(self._transport.name, address))

    def _settle_the_rest(self) -> None:
        """Silence is never success: what was not reported is deferred, or untried and given
        back when the worker is stopping."""
        if self._shop.stopping():
            untried = [
                recipient_id for recipient_id in self._open if recipient_id not in self._noted
            ]
            with self._lent():
                outcomes.give_back(self._batch, untried)
            for recipient_id in untried:
                del self._open[recipient_id]
        for recipient_id in list(self._open):
            self._settle(settle.deferred(recipient_id, "the transport gave no result"))
