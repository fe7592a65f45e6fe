"""Step 5 to 7: claim a batch, check its routes, let the transport deliver, settle the outcomes.

A runner works until nothing is due or its time is over. All state is in the database, so any
number of runners may work at once, and one that is killed loses nothing but time.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from typing import Any, Protocol, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from mta import maillog
from mta.policy import routing
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply
from mta.protocol.tls_result import TlsResult
from mta.queue import backscatter, destinations, lease, outcomes, tls_tallies
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.limited_claim import Terms, claim_limited, claim_more, has_limits
from mta.queue.outcomes import Settlement
from mta.scheduler import settle
from mta.scheduler.backoff import Backoff
from mta.scheduler.contents import Contents
from mta.scheduler.health import Impression
from mta.scheduler.keeper import LeaseKeeper
from mta.transports.base import (
    DeliveryContext,
    DeliveryRequest,
    Outcome,
    QueuedMessage,
    QueuedRecipient,
    Result,
    Transport,
)

log = logging.getLogger(__name__)

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

# Outcomes are written when so many are known or so much time has passed, not one by one.
FLUSH_COUNT = 200
FLUSH_SECONDS = 1.0
RUN_SECONDS = 3.0
FLUSH_TRIES = 30
# Mail comes in streams: looking again for a moment costs less than being called anew, and a
# batch costs the same for one message as for twenty. The first message of a stream waits for
# nothing.
LINGER_SECONDS = 0.25
GATHER_SECONDS = 0.02
GATHER_BELOW = 50

# An open session goes on with what waits for its destination for so long.
SESSION_SECONDS = 60.0
# With hundreds of sessions at once, each holds little.
_FRUGAL = {"preload": 512 * 1024, "large": 1}

_NOBODY = Reply(550, "5.1.1", "no such user here")


class Directory(Protocol):
    """What the runner asks of the directory; `book` is what transports claim by."""

    @property
    def settings(self) -> Any: ...

    @property
    def policy(self) -> Any: ...

    @property
    def backuprelay(self) -> str: ...

    def refresh(self) -> object: ...

    def book(self, reverse_path: str) -> object: ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a runner works with; `mta.runtime` puts it together.

    `context(contents, committing)` makes a transport's context. `nudge(transport)` calls for
    another runner, `another(transport)` for one more in this process, which may have `slots` of
    them (0: not bounded here). `database()` lends a connection to this thread where it has none
    of its own. `reports_due()` is called when a DSN became due. `stopping()` is true when
    this worker is asked to end. `owner` names this process on its leases.
    """

    transports: Sequence[Transport]
    directory: Directory
    context: Callable[[Contents, Callable[[Iterable[int]], None]], DeliveryContext]
    nudge: Callable[[str], None]
    reports_due: Callable[[], None]
    stopping: Callable[[], bool]
    owner: str
    another: Callable[[str], None] = lambda name: None
    slots: int = 0
    database: Callable[[], AbstractContextManager[None]] = nullcontext
    keeper: LeaseKeeper = field(default_factory=LeaseKeeper)


def run(transport: Transport, shop: Workshop) -> int:
    """Deliver what is due for a transport; gives the number of recipients worked on.

    Ends when nothing is due, after RUN_SECONDS (then another runner is called for), or when the
    worker is stopping.
    """
    worked = 0
    end = time.monotonic() + RUN_SECONDS
    linger_until = 0.0
    while not shop.stopping():
        if time.monotonic() > end:
            (shop.another if transport.limit else shop.nudge)(transport.name)
            break
        with _database(transport, shop):
            batch = _claim(transport, shop)
        if batch is None:
            if time.monotonic() > linger_until:
                break
            time.sleep(GATHER_SECONDS)
            continue
        if transport.limit:
            # Other destinations may be due: each runner that found work calls for one more.
            shop.another(transport.name)
        else:
            linger_until = time.monotonic() + LINGER_SECONDS
        _Delivery(batch, transport, shop).run()
        worked += len(batch.recipients)
        if not transport.limit and len(batch.recipients) < GATHER_BELOW:
            time.sleep(GATHER_SECONDS)
    return worked


def _claim(transport: Transport, shop: Workshop) -> Batch | None:
    is_limited = has_limits(transport.name, shop.directory.policy.version)
    if not transport.limit and not is_limited:
        length = shop.directory.settings.lease
        batch = lease.claim(transport.name, batch=transport.batch, lease=length, owner=shop.owner)
        # The version comes with the claim; only another one is worth a question of its own.
        if batch is not None and batch.policy_version != shop.directory.policy.version:
            shop.directory.refresh()
        return batch
    shop.directory.refresh()
    return claim_limited(transport.name, _terms(transport, shop))


def _database(transport: Transport, shop: Workshop) -> AbstractContextManager[None]:
    """Only who talks to other hosts has so many threads that they share connections."""
    return shop.database() if transport.limit else nullcontext()


def _terms(transport: Transport, shop: Workshop) -> Terms:
    """`maxhost` and what was learnt count for destinations; a transport that delivers here has
    none, and only its rows limit it."""
    settings = shop.directory.settings
    is_remote = bool(transport.limit)
    return Terms(
        limit=settings.maxhost if is_remote else 0,
        batch=settings.batchsize if is_remote else transport.batch,
        lease=settings.lease,
        owner=shop.owner,
        slots=shop.slots,
        adaptive=is_remote,
    )


class _Delivery:
    """One batch on its way through a transport."""

    def __init__(self, batch: Batch, transport: Transport, shop: Workshop) -> None:
        self._batch = batch
        self._transport = transport
        self._shop = shop
        self._recipients = {recipient.id: recipient for recipient in batch.recipients}
        self._open = dict(self._recipients)
        self._noted: set[int] = set()
        self._waiting: list[Settlement] = []
        self._tls: list[TlsResult] = []
        self._flushed_at = time.monotonic()
        self._reports = False
        self._impression = Impression()
        self._contents: Contents | None = None
        self._end_of_session = time.monotonic() + SESSION_SECONDS

    def run(self) -> None:
        shop = self._shop
        length: timedelta = shop.directory.settings.lease
        with shop.keeper.holding(self._batch.lease_id, length):
            try:
                with _database(self._transport, shop):
                    self._check_routes(self._batch.recipients)
                self._deliver()
                with _database(self._transport, shop):
                    self._settle_the_rest()
                    self._teach()
            finally:
                # Whatever went wrong: what is known is written, the rest is left to the lease.
                self._flush(last=not self._open)
        if self._reports:
            shop.reports_due()

    def _check_routes(self, recipients: Iterable[LeasedRecipient]) -> None:
        """Addresses are routed anew at every attempt, so that a change helps queued mail."""
        here = (self._batch.transport, self._batch.nexthop)
        moved: list[tuple[int, str, str]] = []
        for recipient in recipients:
            if recipient.pinned:
                continue
            route = self._route(recipient)
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
        """By the policy in force."""
        book = self._shop.directory.book(recipient.reverse_path)
        return routing.choose(recipient.address, self._shop.transports, book)

    def _deliver(self) -> None:
        messages = tuple(_messages(self._open.values()))
        if not messages:
            return
        request = DeliveryRequest(self._transport.name, self._batch.nexthop, messages)
        with _database(self._transport, self._shop):
            self._contents = Contents(
                messages, _known(self._open.values()), **(_FRUGAL if self._transport.limit else {})
            )
        context = self._shop.context(self._contents, self._committing)
        context = replace(
            context,
            content=self._content,
            more=self._more,
            tls_seen=self._tls.append,
            credentials=self._with_database(context.credentials),
            sts=self._with_database(context.sts),
        )
        try:
            for outcome in self._transport.deliver(request, context):
                self._settle(outcome)
                self._flush_now_and_then()
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

    def _with_database(self, question: Callable[[_Asked], _Answer]) -> Callable[[_Asked], _Answer]:
        """The same question, with a database connection for as long as it takes."""

        def ask(about: _Asked) -> _Answer:
            with _database(self._transport, self._shop):
                return question(about)

        return ask

    def _content(self, message_id: int) -> bytes:
        assert self._contents is not None
        if self._contents.has(message_id):
            return self._contents(message_id)
        with _database(self._transport, self._shop):
            return self._contents(message_id)

    def _more(self) -> Sequence[QueuedMessage]:
        """The next messages for an open session, so that it need not be opened anew; not for
        ever, since others may wait for the slot."""
        shop = self._shop
        if not self._transport.limit or time.monotonic() > self._end_of_session or self._open:
            return ()
        self._flush()
        with _database(self._transport, shop):
            self._teach()
            taken = claim_more(self._batch, _terms(self._transport, shop))
            self._adopt(taken)
            self._check_routes(taken)
            messages = tuple(_messages(self._open.values()))
            if messages and self._contents is not None:
                self._contents.hold(messages, _known(self._open.values()))
        return messages

    def _adopt(self, taken: Iterable[LeasedRecipient]) -> None:
        self._recipients = {recipient.id: recipient for recipient in taken}
        self._open |= self._recipients

    def _teach(self) -> None:
        """What this batch showed of its destination; of one that is down, also what that means
        for those whose warning or expiry is due."""
        verdict, self._impression = self._impression.verdict(), Impression()
        if verdict is None or not self._transport.limit:
            return
        longest = self._shop.directory.settings.retryalpha
        batch = self._batch
        destinations.learn(
            batch.transport,
            batch.nexthop,
            verdict.health,
            reply=verdict.reply,
            pause=verdict.pause,
            longest=longest,
        )
        while verdict.pause and (overdue := lease.take_overdue(batch, FLUSH_COUNT)):
            self._flush()
            self._adopt(overdue)
            for recipient in overdue:
                self._settle(settle.unreachable(recipient.id, verdict.reply))

    def _committing(self, recipient_ids: Iterable[int]) -> None:
        """Before a final dot. What was sent before is written first, so that a crash leaves one
        message of this session uncertain and not many."""
        ids = [recipient_id for recipient_id in recipient_ids if recipient_id in self._open]
        with _database(self._transport, self._shop):
            self._flush()
            lease.started(self._batch, ids)
        self._noted.update(ids)

    def _settle(self, outcome: Outcome) -> None:
        recipient = self._open.pop(outcome.recipient_id, None)
        if recipient is None:
            log.error(
                "transport %s reported recipient %s, which was not asked or was reported before",
                self._transport.name,
                outcome.recipient_id,
            )
            return
        # What a route sends somewhere keeps its route: that is the administrator's word.
        by_mx = self._batch.nexthop.startswith("mx:")
        backup = self._shop.directory.backuprelay if by_mx else ""
        judge = settle.Judge(self._transport.name, self._backoff, timezone.now(), backup)
        settlement = judge.settle(recipient, outcome)
        self._reports = self._reports or bool(settlement.report)
        self._waiting.append(settlement)
        self._impression.add(outcome)
        _log_outcome(recipient, outcome, self._batch)

    def _backoff(self, address: str) -> Backoff:
        return Backoff.of(self._shop.directory.policy.times_for(self._transport.name, address))

    def _settle_the_rest(self) -> None:
        """Silence is never success: what was not reported is deferred, or untried and given
        back when the worker is stopping."""
        if self._shop.stopping():
            untried = [
                recipient_id for recipient_id in self._open if recipient_id not in self._noted
            ]
            outcomes.give_back(self._batch, untried)
            for recipient_id in untried:
                del self._open[recipient_id]
        for recipient_id in list(self._open):
            self._settle(settle.deferred(recipient_id, "the transport gave no result"))

    def _flush_now_and_then(self) -> None:
        due = time.monotonic() - self._flushed_at > FLUSH_SECONDS
        if due or len(self._waiting) >= FLUSH_COUNT:
            self._flush()

    def _flush(self, *, last: bool = False) -> None:
        with _database(self._transport, self._shop):
            self._write(last=last)

    def _write(self, *, last: bool) -> None:
        """Write what is known. What a peer has taken must not be sent again because the
        database was away for a moment, so this is tried for as long as the lease may last."""
        for _ in range(FLUSH_TRIES):
            try:
                outcomes.record(self._batch, self._waiting, noted=bool(self._noted), last=last)
                break
            except (OperationalError, InterfaceError) as error:
                log.warning("outcomes of lease %s wait: %s", self._batch.lease_id, error)
                connection.close()
                time.sleep(1)
        else:
            raise OperationalError("the outcomes could not be written")
        self._learn()
        self._waiting = []
        self._flushed_at = time.monotonic()

    def _learn(self) -> None:
        """What was just written also teaches about others. It is a hint and no more: without it
        the outcomes stand all the same."""
        try:
            backscatter.learn(self._batch, self._recipients, self._waiting)
            tls_tallies.add(self._tls)
            self._tls.clear()
        except (DatabaseError, InterfaceError) as error:
            log.warning("lease %s: nothing learnt: %s", self._batch.lease_id, error)
            connection.close()


def _known(recipients: Iterable[LeasedRecipient]) -> dict[int, bytes]:
    """The contents that came with the claim."""
    return {each.message_id: each.content for each in recipients if each.content is not None}


def _messages(recipients: Iterable[LeasedRecipient]) -> Iterator[QueuedMessage]:
    """The batch as messages with their recipients; recipients come sorted by message."""
    for message_id, group in groupby(recipients, key=lambda recipient: recipient.message_id):
        members = list(group)
        first = members[0]
        yield QueuedMessage(
            id=message_id,
            queue_id=encode_queue_id(message_id),
            reverse_path=first.reverse_path,
            size=first.size,
            created_at=first.created_at.timestamp(),
            recipients=tuple(
                QueuedRecipient(
                    id=member.id,
                    address=member.address,
                    original_recipient=member.original_recipient,
                    return_path=member.return_path,
                    notify=member.notify,
                    attempt=member.attempts,
                )
                for member in members
            ),
            ret=first.ret,
            envid=first.envid,
            smtputf8=first.smtputf8,
            eight_bit=first.eight_bit,
            verp=first.verp,
            requiretls=first.requiretls,
        )


def _log_outcome(recipient: LeasedRecipient, outcome: Outcome, batch: Batch) -> None:
    tell = {
        Result.SENT: maillog.delivered,
        Result.DEFERRED: maillog.deferred,
        Result.BOUNCED: maillog.bounced,
    }[outcome.result]
    tell(
        queue_id=encode_queue_id(recipient.message_id),
        recipient=recipient.address,
        transport=batch.transport,
        remote=outcome.remote,
        reply=str(outcome.reply),
    )
