"""Step 7, how the outcomes of a batch get into the database: gathered, written for sure, and in one
transaction with those of other batches that end at the same moment."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from mta import maillog
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.tls_result import TlsResult
from mta.queue import backscatter, destinations, lease, outcomes, tls_tallies
from mta.queue.backscatter import Told
from mta.queue.destinations import Lesson
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.outcomes import Entry, Recorded, Settlement
from mta.transports.base import Outcome, Result

log = logging.getLogger(__name__)

_Hint = TypeVar("_Hint")
_Written = TypeVar("_Written")

# Outcomes are written when so many are known or so much time has passed, not one by one.
FLUSH_COUNT = 200
FLUSH_SECONDS = 1.0
FLUSH_TRIES = 30


@dataclass(frozen=True, slots=True)
class Page:
    """What one batch has to write at a time; besides the outcomes, what they teach."""

    entry: Entry
    told: Sequence[Told]
    tls: Sequence[TlsResult]
    lessons: Sequence[Lesson]


class Journal:
    """What is known of a batch and not yet written. With `teaches` the outcomes also say something
    about the addresses they are for."""

    def __init__(self, batch: Batch, write: Callable[[Page], Recorded], *, teaches: bool) -> None:
        self._batch = batch
        self._write = write
        self._teaches = teaches
        self._waiting: list[Told] = []
        self._tls: list[TlsResult] = []
        self._lessons: list[Lesson] = []
        self._noted = False
        self._written_at = time.monotonic()
        self.has_reports = False

    def add(self, recipient: LeasedRecipient, outcome: Outcome, settlement: Settlement) -> None:
        self.has_reports = self.has_reports or bool(settlement.report)
        self._waiting.append((recipient, settlement))
        _tell(recipient, outcome, self._batch)

    def saw_tls(self, result: TlsResult) -> None:
        self._tls.append(result)

    def learnt(self, lesson: Lesson) -> None:
        self._lessons.append(lesson)

    def write_now_and_then(self) -> None:
        due = time.monotonic() - self._written_at > FLUSH_SECONDS
        if due or len(self._waiting) >= FLUSH_COUNT:
            self.write()

    def start(self, recipient_ids: Sequence[int]) -> None:
        """Write what is known, and that the peer may have these from now on. Raises LeaseLost;
        then the final dot must not be sent."""
        recorded = self.write(starting=recipient_ids)
        self._noted = True
        if len(recorded.started) != len(recipient_ids):
            raise lease.LeaseLost(f"lease {self._batch.lease_id} is over")

    def write(self, *, last: bool = False, starting: Sequence[int] = ()) -> Recorded:
        """Write what is known; `last` says that the lease is over. Raises OperationalError."""
        settlements = [settlement for _, settlement in self._waiting]
        entry = Entry(self._batch, settlements, self._noted, last, starting)
        told = self._waiting if self._teaches else []
        recorded = Recorded()
        if settlements or last or starting or self._tls or self._lessons:
            recorded = self._write(Page(entry, told, self._tls, self._lessons))
        self._waiting, self._tls, self._lessons = [], [], []
        self._written_at = time.monotonic()
        return recorded


def write_pages(
    lent: Callable[[], AbstractContextManager[None]], pages: Sequence[Page]
) -> list[Recorded]:
    """Write all of these, the outcomes in one transaction. `lent` lends a connection to this
    thread. Raises OperationalError."""
    with lent():
        # While a batch holds its place at the destination, which is how many are used at once.
        _learn(destinations.learn_all, [lesson for page in pages for lesson in page.lessons])
        recorded = _record([page.entry for page in pages])
        _learn(backscatter.learn, [(page.entry.batch, page.told) for page in pages if page.told])
        _learn(tls_tallies.add, [result for page in pages for result in page.tls])
        return recorded


def _record(entries: Sequence[Entry]) -> list[Recorded]:
    """What a peer has taken must not be sent again because the database was away for a moment,
    so this is tried for as long as the lease may last."""
    leases = ", ".join(str(entry.batch.lease_id) for entry in entries)
    return persist(lambda: outcomes.record_all(entries), f"the outcomes of lease {leases} wait")


def _learn(learn: Callable[[list[_Hint]], object], hints: list[_Hint]) -> None:
    """What was seen also teaches about others. It is a hint and no more: without it the outcomes
    stand all the same."""
    try:
        if hints:
            learn(hints)
    except (DatabaseError, InterfaceError) as error:
        log.warning("nothing learnt: %s", error)
        connection.close()


def persist(write: Callable[[], _Written], what_waits: str) -> _Written:
    """Write what must not be forgotten because the database was away for a moment; what is repeated
    must do no harm. Raises OperationalError at the end of its patience."""
    for _ in range(FLUSH_TRIES):
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            log.warning("%s: %s", what_waits, error)
            connection.close()
            time.sleep(1)
    raise OperationalError(what_waits)


def _tell(recipient: LeasedRecipient, outcome: Outcome, batch: Batch) -> None:
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
