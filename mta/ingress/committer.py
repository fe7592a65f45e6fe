"""Group commit: all messages that wait at a moment go into one transaction.

While one commit is on its way the next batch gathers by itself, so there is no timer and no
added delay when idle. Refusals, which are history only, ride along.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, OperationalError, connection

from mta.queue import commit, refused_content
from mta.queue.commit import RefusalRecord, Submission
from mta.queue.loop_connection import NO_STORAGE, LoopConnection
from mta.queue.refused_content import KeptContent

log = logging.getLogger(__name__)

BATCH_COUNT = 500
BATCH_OCTETS = 64 * 1024 * 1024
REFUSALS_KEPT = 10_000
# Of refused mail that is kept, so many octets may wait to be stored.
KEPT_OCTETS = 64 * 1024 * 1024


class CommitFailed(Exception):
    """The message is not in the queue; the client must hear 451, or 452 with `no_storage`."""

    def __init__(self, error: DatabaseError) -> None:
        super().__init__(str(error))
        self.no_storage = getattr(error.__cause__, "sqlstate", None) in NO_STORAGE


class Committer:
    """One per ingress process. `committed` is called in the loop after each batch, with the
    transports that have work now; it must neither block nor raise."""

    def __init__(
        self, committed: Callable[[Iterable[str]], None], database: LoopConnection
    ) -> None:
        self._committed = committed
        self._database = database
        self._thread = ThreadPoolExecutor(1, "committer")
        self._waiting: list[tuple[Submission, asyncio.Future[None]]] = []
        self._refusals: list[RefusalRecord] = []
        self._running = False
        self._keeping_octets = 0
        self.lost_refusals = 0

    async def commit(self, submission: Submission) -> None:
        """Returns when the message is durable. Raises CommitFailed."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, done))
        self._start()
        # A client that hangs up must not take the batch with it.
        await asyncio.shield(done)

    def refused(self, refusal: RefusalRecord) -> None:
        """Remember a refusal; under a flood the newest are dropped, and counted."""
        if len(self._refusals) >= REFUSALS_KEPT:
            self.lost_refusals += 1
            return
        self._refusals.append(refusal)
        self._start()

    def keep(self, kept: KeptContent) -> bool:
        """Have the content of refused mail stored, beside the commits; False when too much of it
        waits already. What the database does not take then is lost, and said in the log."""
        if self._keeping_octets + kept.size > KEPT_OCTETS:
            return False
        self._keeping_octets += kept.size
        loop = asyncio.get_running_loop()
        storing = loop.run_in_executor(self._thread, _keep, kept)
        storing.add_done_callback(lambda _: self._kept(kept.size))
        return True

    def _kept(self, octets: int) -> None:
        self._keeping_octets -= octets

    async def drain(self) -> None:
        """Wait until everything given so far is written."""
        while self._running or self._waiting or self._refusals or self._keeping_octets:
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting or self._refusals:
                batch = self._take()
                refusals, self._refusals = self._refusals, []
                submissions = [submission for submission, _ in batch]
                results = await self._write(submissions, refusals)
                self._tell(batch, results)
        finally:
            self._running = False

    async def _write(
        self, submissions: list[Submission], refusals: list[RefusalRecord]
    ) -> list[DatabaseError | None]:
        """Never raises a database error: each message gets its own."""
        try:
            await commit.commit_from_loop(self._database, submissions, refusals)
            return [None] * len(submissions)
        except OperationalError as error:
            log.error("the database did not take %d messages: %s", len(submissions), error)
            return [error] * len(submissions)
        except DatabaseError:
            # One of them is bad: one by one, so that its neighbours are not refused with it.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _write_each, submissions, refusals)

    def _take(self) -> "list[tuple[Submission, asyncio.Future[None]]]":
        """The oldest waiting messages, bounded in number and in octets."""
        octets = 0
        count = 0
        for submission, _ in self._waiting[:BATCH_COUNT]:
            octets += len(submission.content)
            if count and octets > BATCH_OCTETS:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _tell(
        self,
        batch: "list[tuple[Submission, asyncio.Future[None]]]",
        results: list[DatabaseError | None],
    ) -> None:
        transports: set[str] = set()
        for (submission, done), error in zip(batch, results, strict=True):
            if error is None:
                transports.update(row.transport for row in submission.recipients if row.transport)
                if not done.done():
                    done.set_result(None)
            elif not done.done():
                done.set_exception(CommitFailed(error))
                done.exception()
        if transports:
            self._committed(transports)


def _write_each(
    submissions: list[Submission], refusals: list[RefusalRecord]
) -> list[DatabaseError | None]:
    """In the committer's thread. Never raises a database error: each message gets its own."""
    try:
        results = commit.commit_each(submissions, refusals)
    except DatabaseError as error:
        results = [error] * len(submissions)
    failed = next((error for error in results if error is not None), None)
    if failed is not None or connection.errors_occurred:
        log.error("the database did not take %d messages: %s", len(submissions), failed)
        connection.close()
    return results


def _keep(kept: KeptContent) -> None:
    """In the committer's thread. The refusal has been said: nothing depends on this."""
    try:
        refused_content.store(kept)
    except DatabaseError as error:
        log.error("the content of refused mail is not kept: %s", error)
        connection.close()
