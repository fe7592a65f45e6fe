"""Step 7, how the outcomes of one batch get into the database: gathered, and written for sure."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from mta import maillog
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.tls_result import TlsResult
from mta.queue import backscatter, outcomes, tls_tallies
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.outcomes import Settlement
from mta.transports.base import Outcome, Result

log = logging.getLogger(__name__)

# Outcomes are written when so many are known or so much time has passed, not one by one.
FLUSH_COUNT = 200
FLUSH_SECONDS = 1.0
FLUSH_TRIES = 30


class Journal:
    """What is known and not yet written. `lent` lends a connection to this thread; with `teaches`
    the outcomes also say something about the addresses they are for."""

    def __init__(
        self, batch: Batch, lent: Callable[[], AbstractContextManager[None]], *, teaches: bool
    ) -> None:
        self._batch = batch
        self._lent = lent
        self._teaches = teaches
        self._waiting: list[tuple[LeasedRecipient, Settlement]] = []
        self._tls: list[TlsResult] = []
        self._written_at = time.monotonic()
        self.has_reports = False

    def add(self, recipient: LeasedRecipient, outcome: Outcome, settlement: Settlement) -> None:
        self.has_reports = self.has_reports or bool(settlement.report)
        self._waiting.append((recipient, settlement))
        _tell(recipient, outcome, self._batch)

    def saw_tls(self, result: TlsResult) -> None:
        self._tls.append(result)

    def write_now_and_then(self, *, noted: bool) -> None:
        due = time.monotonic() - self._written_at > FLUSH_SECONDS
        if due or len(self._waiting) >= FLUSH_COUNT:
            self.write(noted=noted)

    def write(self, *, noted: bool, last: bool = False) -> None:
        """Write what is known; `noted` says that attempts of this batch may be on record, `last`
        that the lease is over. Raises OperationalError."""
        with self._lent():
            self._record(noted=noted, last=last)
            self._learn()
        self._waiting = []
        self._written_at = time.monotonic()

    def _record(self, *, noted: bool, last: bool) -> None:
        """What a peer has taken must not be sent again because the database was away for a
        moment, so this is tried for as long as the lease may last."""
        settlements = [settlement for _, settlement in self._waiting]
        for _ in range(FLUSH_TRIES):
            try:
                outcomes.record(self._batch, settlements, noted=noted, last=last)
                return
            except (OperationalError, InterfaceError) as error:
                log.warning("outcomes of lease %s wait: %s", self._batch.lease_id, error)
                connection.close()
                time.sleep(1)
        raise OperationalError("the outcomes could not be written")

    def _learn(self) -> None:
        """What was just written also teaches about others. It is a hint and no more: without it
        the outcomes stand all the same."""
        try:
            if self._teaches:
                backscatter.learn(self._batch, self._waiting)
            tls_tallies.add(self._tls)
            self._tls.clear()
        except (DatabaseError, InterfaceError) as error:
            log.warning("lease %s: nothing learnt: %s", self._batch.lease_id, error)
            connection.close()


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
