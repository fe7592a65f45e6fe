"""Step 5 to 7: claim a batch, check its routes, let the transport deliver, settle the outcomes.

A runner works until nothing is due or its time is over. All state is in the database, so any
number of runners may work at once, and one that is killed loses nothing but time.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from typing import Any, Protocol

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from mta import maillog
from mta.policy import routing
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply
from mta.protocol.tls_result import TlsResult
from mta.queue import backscatter, lease, outcomes, tls_tallies
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.outcomes import Settlement
from mta.scheduler import settle
from mta.scheduler.backoff import Backoff
from mta.scheduler.contents import Contents
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
    another runner. `reports_due()` is called when a DSN became due. `stopping()` is true when
    this worker is asked to end. `owner` names this process on its leases.
    """

    transports: Sequence[Transport]
    directory: Directory
    context: Callable[[Contents, Callable[[Iterable[int]], None]], DeliveryContext]
    nudge: Callable[[str], None]
    reports_due: Callable[[], None]
    stopping: Callable[[], bool]
    owner: str
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
            shop.nudge(transport.name)
            break
        batch = _claim(transport, shop)
        if batch is None:
            if time.monotonic() > linger_until:
                break
            time.sleep(GATHER_SECONDS)
            continue
        if transport.limit:
            # Other destinations may be due: each runner that found work calls for one more.
            shop.nudge(transport.name)
        else:
            linger_until = time.monotonic() + LINGER_SECONDS
        _Delivery(batch, transport, shop).run()
        worked += len(batch.recipients)
        if not transport.limit and len(batch.recipients) < GATHER_BELOW:
            time.sleep(GATHER_SECONDS)
    return worked


def _claim(transport: Transport, shop: Workshop) -> Batch | None:
    if not transport.limit:
        length = shop.directory.settings.lease
        batch = lease.claim(transport.name, batch=transport.batch, lease=length, owner=shop.owner)
        # The version comes with the claim; only another one is worth a question of its own.
        if batch is not None and batch.policy_version != shop.directory.policy.version:
            shop.directory.refresh()
        return batch
    shop.directory.refresh()
    settings = shop.directory.settings
    return lease.claim_limited(
        transport.name,
        limit=settings.maxhost,
        batch=settings.batchsize,
        lease=settings.lease,
        owner=shop.owner,
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

    def run(self) -> None:
        shop = self._shop
        length: timedelta = shop.directory.settings.lease
        with shop.keeper.holding(self._batch.lease_id, length):
            try:
                self._check_routes()
                self._deliver()
                self._settle_the_rest()
            finally:
                # Whatever went wrong: what is known is written, the rest is left to the lease.
                self._flush(last=not self._open)
        if self._reports:
            shop.reports_due()

    def _check_routes(self) -> None:
        """Addresses are routed anew at every attempt, so that a change helps queued mail."""
        here = (self._batch.transport, self._batch.nexthop)
        moved: list[tuple[int, str, str]] = []
        for recipient in list(self._open.values()):
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
        known = {
            each.message_id: each.content
            for each in self._open.values()
            if each.content is not None
        }
        context = self._shop.context(Contents(messages, known), self._committing)
        context = replace(context, tls_seen=self._tls.append)
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

    def _committing(self, recipient_ids: Iterable[int]) -> None:
        """Before a final dot. What was sent before is written first, so that a crash leaves one
        message of this session uncertain and not many."""
        self._flush()
        ids = [recipient_id for recipient_id in recipient_ids if recipient_id in self._open]
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
