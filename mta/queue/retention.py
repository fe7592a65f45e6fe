"""What is forgotten, and when: content, history, refusals, counts.

`roll_up` and `sweep` are called by the beat, as often as it likes and from any process. Both
work in short transactions over a few thousand rows, never over a table.

Content usually goes seconds after the last recipient is finished, at the speed mail comes in.
To look at nothing twice, a process remembers up to which finishing time it has swept and reads
the index of finished messages from a little before that. Now and then, and when it starts, it
walks the stored contents instead, which finds whatever was passed over: messages finished by a
slow transaction, or kept until their report was written.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from mta.models import Settings
from mta.queue import backscatter
from mta.queue.listing import fetch

BATCH = 2000
CANDIDATES = 20_000
SWEEP_SECONDS = 5.0
FULL_PASS_SECONDS = 300.0
# Longer than any transaction of a worker: a message may become visible this long after its
# finishing time.
OVERLAP = timedelta(seconds=60)

KEEP_STATISTICS = timedelta(days=400)
KEEP_MINUTES = timedelta(days=8)
KEEP_HEARTBEATS = timedelta(days=1)
KEEP_RULE_HITS = timedelta(days=30)

# One sweeper at a time is enough; the number only has to differ from other advisory locks.
_SWEEP_LOCK = 0x5EEB

# A report still needs the content and the history.
_NO_REPORT_DUE = (
    "NOT EXISTS (SELECT 1 FROM mta_recipient r WHERE r.message_id = m.id AND r.report <> '')"
)

_ROLL_UP = """
WITH taken AS (
    DELETE FROM mta_tally WHERE id IN (
        SELECT id FROM mta_tally ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING at, kind, count
), counted AS (
    SELECT date_trunc('minute', at) AS minute, kind, sum(count) AS count
    FROM taken GROUP BY 1, 2 ORDER BY 1, 2
), stored AS (
    INSERT INTO mta_statistic AS s (minute, kind, count) SELECT * FROM counted
    ON CONFLICT (minute, kind) DO UPDATE SET count = s.count + excluded.count
)
SELECT count(*) FROM taken
"""

_COARSEN = """
WITH taken AS (
    DELETE FROM mta_statistic WHERE id IN (
        SELECT id FROM mta_statistic
        WHERE minute < %s AND minute <> date_trunc('hour', minute) LIMIT %s
        FOR UPDATE SKIP LOCKED
    ) RETURNING minute, kind, count
), counted AS (
    SELECT date_trunc('hour', minute) AS minute, kind, sum(count) AS count
    FROM taken GROUP BY 1, 2 ORDER BY 1, 2
), stored AS (
    INSERT INTO mta_statistic AS s (minute, kind, count) SELECT * FROM counted
    ON CONFLICT (minute, kind) DO UPDATE SET count = s.count + excluded.count
)
SELECT count(*) FROM taken
"""

_FINISHED_LATELY = f"""
SELECT m.id FROM mta_message m JOIN mta_content c ON c.message_id = m.id
WHERE m.finished_at >= %s AND m.finished_at < %s AND {_NO_REPORT_DUE}
ORDER BY m.finished_at LIMIT %s
"""

_STORED_IN_VAIN = f"""
SELECT c.message_id FROM mta_content c LEFT JOIN mta_message m ON m.id = c.message_id
WHERE m.id IS NULL OR (m.finished_at < %s AND {_NO_REPORT_DUE}) LIMIT %s
"""

_FINISHED_LONG_AGO = f"""
SELECT m.id FROM mta_message m WHERE m.finished_at < %s AND {_NO_REPORT_DUE}
ORDER BY m.finished_at LIMIT %s
"""

_DELETE_CONTENT = ("DELETE FROM mta_content WHERE message_id = ANY(%s)",)
_DELETE_HISTORY = (
    "DELETE FROM mta_attempt WHERE message_id = ANY(%s)",
    "DELETE FROM mta_event WHERE message_id = ANY(%s)",
    "DELETE FROM mta_content WHERE message_id = ANY(%s)",
    "DELETE FROM mta_recipient WHERE message_id = ANY(%s)",
    "DELETE FROM mta_message WHERE id = ANY(%s)",
)


def roll_up() -> int:
    """Add the tallies up to statistics per minute; gives the number of tallies taken.

    One transaction. Several may run at once: each takes rows the others do not have.
    """
    return _count(_ROLL_UP, [CANDIDATES])


def sweep(settings: Settings) -> dict[str, int]:
    """Delete what has been kept long enough, for about `SWEEP_SECONDS`; the rest is for next time.

    Gives how many messages lost their content, how many were forgotten altogether, and how many
    refusals, statistics, heartbeats, notes for mailbox rules and hints of `mta.queue.backscatter`
    went.
    """
    now = timezone.now()
    deadline = time.monotonic() + SWEEP_SECONDS
    content = _content_sweep.run(now - settings.keep_content, deadline)
    history = [now - settings.keep_history]
    messages, _ = _clear(_FINISHED_LONG_AGO, history, _DELETE_HISTORY, deadline)
    return {
        "content": content,
        "messages": messages,
        "refusals": _delete_old("mta_refusal", "at", now - settings.keep_refusals, deadline),
        "tls": _delete_old("mta_tlstally", "last_at", now - settings.keep_tls, deadline),
        "statistics": _delete_old("mta_statistic", "minute", now - KEEP_STATISTICS, deadline),
        "heartbeats": _delete_old("mta_heartbeat", "at", now - KEEP_HEARTBEATS, deadline),
        "hits": _delete_old("mta_rulehit", "at", now - KEEP_RULE_HITS, deadline),
        "answered": _delete_old("mta_vacationreply", "until", now, deadline),
        "seen": _delete_old("mta_seenkey", "expires_at", now, deadline),
        "backscatter": backscatter.forget(settings, deadline),
        "coarsened": _count(_COARSEN, [now - KEEP_MINUTES, CANDIDATES]),
    }


class ContentSweep:
    """Deletes the content of finished messages; remembers how far it has come."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._swept_until: datetime | None = None
        self._full_pass_at = 0.0

    def run(self, cutoff: datetime, deadline: float) -> int:
        """Delete the content of what finished before `cutoff`; gives the number of messages."""
        since = self._swept_until
        if since is None or self._clock() >= self._full_pass_at:
            deleted, complete = _clear(_STORED_IN_VAIN, [cutoff], _DELETE_CONTENT, deadline)
            if complete:
                self._full_pass_at = self._clock() + FULL_PASS_SECONDS
        else:
            window = [since - OVERLAP, cutoff]
            deleted, complete = _clear(_FINISHED_LATELY, window, _DELETE_CONTENT, deadline)
        if complete:
            self._swept_until = cutoff
        return deleted


_content_sweep = ContentSweep()


def _delete_old(table: str, column: str, before: datetime, deadline: float) -> int:
    """Delete the rows of one of our tables that are older than that."""
    candidates = f"SELECT id FROM {table} WHERE {column} < %s LIMIT %s"
    deleted, _ = _clear(
        candidates, [before], (f"DELETE FROM {table} WHERE id = ANY(%s)",), deadline
    )
    return deleted


def _clear(
    candidates: str, bounds: list[datetime], statements: tuple[str, ...], deadline: float
) -> tuple[int, bool]:
    """Run the statements over all candidate ids, a short transaction for each batch.

    Gives how many ids were dealt with, and whether that was all of them: not so when the time
    is over, or when another process is sweeping.
    """
    done = 0
    while True:
        ids = [row[0] for row in fetch(candidates, [*bounds, CANDIDATES])]
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            if time.monotonic() > deadline or not _delete(batch, statements):
                return done, False
            done += len(batch)
        if len(ids) < CANDIDATES:
            return done, True


def _delete(ids: list[int], statements: tuple[str, ...]) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SWEEP_LOCK])
        (alone,) = cursor.fetchone()
        if alone:
            for statement in statements:
                cursor.execute(statement, [ids])
    return bool(alone)


def _count(sql: str, values: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        (count,) = cursor.fetchone()
    return int(count)
