"""Step 5, taking work: due recipients of one next hop, claimed under a lease.

`FOR UPDATE SKIP LOCKED` lets any number of workers on any hosts claim side by side. A lease
that runs out is work again (`reap`), so a worker that dies loses time, never mail. The number of
live leases on a next hop is its number of simultaneous deliveries, counted under a lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import connection, transaction

from mta.models import Attempt


@dataclass(frozen=True, slots=True)
class LeasedRecipient:
    """One claimed recipient with what of its message a transport needs. Times are aware UTC."""

    id: int
    message_id: int
    address: str
    original_recipient: str
    notify: str
    attempts: int
    expires_at: datetime
    warn_at: datetime | None
    created_at: datetime
    reverse_path: str
    ret: str
    envid: str
    smtputf8: bool
    eight_bit: bool
    size: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The recipients of one lease, oldest message first."""

    lease_id: int
    transport: str
    nexthop: str
    acquired_at: datetime
    recipients: tuple[LeasedRecipient, ...]


# The next hops of a transport that have queued recipients, found by hopping along the index
# (transport, nexthop, next_attempt) so that a million rows of one destination cost one step.
_NEXT_HOP = """
WITH RECURSIVE hop AS (
    (SELECT nexthop FROM mta_recipient
     WHERE transport = %(transport)s AND state = 'queued' ORDER BY nexthop LIMIT 1)
    UNION ALL
    SELECT (SELECT r.nexthop FROM mta_recipient r
            WHERE r.transport = %(transport)s AND r.state = 'queued' AND r.nexthop > hop.nexthop
            ORDER BY r.nexthop LIMIT 1)
    FROM hop WHERE hop.nexthop IS NOT NULL
), due AS (
    SELECT hop.nexthop,
           (SELECT r.next_attempt FROM mta_recipient r
            WHERE r.transport = %(transport)s AND r.state = 'queued' AND r.nexthop = hop.nexthop
            ORDER BY r.next_attempt LIMIT 1) AS at
    FROM hop WHERE hop.nexthop IS NOT NULL
)
SELECT nexthop FROM due
WHERE at <= now() AND nexthop <> ALL(%(busy)s::text[])
  AND (%(limit)s = 0 OR (SELECT count(*) FROM mta_lease l
                         WHERE l.transport = %(transport)s AND l.nexthop = due.nexthop
                           AND l.expires_at > now()) < %(limit)s)
ORDER BY at LIMIT 1
"""

_CLAIM = """
WITH due AS (
    SELECT id FROM mta_recipient
    WHERE transport = %(transport)s AND nexthop = %(nexthop)s AND state = 'queued'
      AND next_attempt <= now()
    ORDER BY next_attempt LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE mta_recipient r
SET state = 'delivering', lease_id = %(lease)s, attempts = r.attempts + 1
FROM due, mta_message m
WHERE r.id = due.id AND m.id = r.message_id
RETURNING r.id, r.message_id, r.address, r.original_recipient, r.notify, r.attempts,
          r.expires_at, r.warn_at, m.created_at, m.reverse_path, m.ret, m.envid, m.smtputf8,
          m.eight_bit, m.size
"""


def claim(
    transport: str, *, limit: int, batch: int, lease: timedelta, owner: str, durable: bool = True
) -> Batch | None:
    """The most overdue next hop's recipients, at most `batch` of them; None when nothing is due.

    `limit` bounds the live leases on a next hop (0: none). `durable` off spares the wait for the
    disk where a claim forgotten in a database crash does no harm, because delivery is
    idempotent.
    """
    busy: list[str] = []
    while True:
        nexthop = _next_hop(transport, limit, busy)
        if nexthop is None:
            return None
        claimed = _claim_from(transport, nexthop, limit, batch, lease, owner, durable)
        if claimed is not None:
            return claimed
        busy.append(nexthop)


def renew(lease_id: int, lease: timedelta) -> bool:
    """Push the end of a lease out; False when it was reaped already."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mta_lease SET expires_at = now() + make_interval(secs => %s) WHERE id = %s",
            [lease.total_seconds(), lease_id],
        )
        return bool(cursor.rowcount)


def contents(message_ids: Iterable[int]) -> dict[int, bytes]:
    """The stored contents of these messages, by message id."""
    # psycopg's own cursor: Django's would fetch the octets as text, in hexadecimal.
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(
            "SELECT message_id, data FROM mta_content WHERE message_id = ANY(%s)",
            [list(message_ids)],
            binary=True,
        )
        return dict(cursor.fetchall())


def started(batch: Batch, recipient_ids: Iterable[int]) -> None:
    """Note that the peer may have the message from now on: a crash after this is *uncertain*.

    Not waited for on disk: it has to outlive the worker, and the database survives that.
    """
    wanted = set(recipient_ids)
    rows = [
        Attempt(
            message_id=recipient.message_id,
            recipient_id=recipient.id,
            number=recipient.attempts,
            transport=batch.transport,
            nexthop=batch.nexthop,
            started_at=batch.acquired_at,
            result=Attempt.Result.STARTED,
        )
        for recipient in batch.recipients
        if recipient.id in wanted
    ]
    with transaction.atomic():
        _no_wait_for_disk()
        Attempt.objects.bulk_create(rows)


def reap() -> list[int]:
    """End the leases that ran out; their recipients are due again at once.

    What was past its final dot becomes an *uncertain* attempt, the rest an *interrupted* one.
    Gives the ids of the recipients that are work again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM mta_lease WHERE id IN (SELECT id FROM mta_lease WHERE expires_at <= now()"
            " ORDER BY id FOR UPDATE SKIP LOCKED) RETURNING id"
        )
        dead = [row[0] for row in cursor.fetchall()]
        if not dead:
            return []
        cursor.execute(
            "UPDATE mta_recipient SET state = 'queued', lease_id = NULL, next_attempt = now()"
            " WHERE lease_id = ANY(%s) AND state = 'delivering'"
            " RETURNING id, message_id, attempts, transport, nexthop",
            [dead],
        )
        orphans = cursor.fetchall()
        _settle_orphans(cursor, orphans)
    return [row[0] for row in orphans]


def _next_hop(transport: str, limit: int, busy: list[str]) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_HOP, {"transport": transport, "limit": limit, "busy": busy})
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def _claim_from(
    transport: str,
    nexthop: str,
    limit: int,
    batch: int,
    lease: timedelta,
    owner: str,
    durable: bool,
) -> Batch | None:
    with transaction.atomic(), connection.cursor() as cursor:
        if not durable:
            _no_wait_for_disk()
        if limit and not _has_room(cursor, transport, nexthop, limit):
            return None
        cursor.execute(
            "INSERT INTO mta_lease (transport, nexthop, owner, acquired_at, expires_at)"
            " VALUES (%s, %s, %s, now(), now() + make_interval(secs => %s))"
            " RETURNING id, acquired_at",
            [transport, nexthop, owner, lease.total_seconds()],
        )
        lease_id, acquired_at = cursor.fetchone()
        cursor.execute(
            _CLAIM,
            {"transport": transport, "nexthop": nexthop, "batch": batch, "lease": lease_id},
        )
        rows = [LeasedRecipient(*row) for row in cursor.fetchall()]
        if not rows:
            transaction.set_rollback(True)
            return None
    rows.sort(key=lambda row: (row.message_id, row.id))
    return Batch(lease_id, transport, nexthop, acquired_at, tuple(rows))


def _has_room(cursor: Any, transport: str, nexthop: str, limit: int) -> bool:
    """Whether one more lease fits. The lock makes counting and inserting one step."""
    cursor.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"{transport} {nexthop}"]
    )
    cursor.execute(
        "SELECT count(*) FROM mta_lease"
        " WHERE transport = %s AND nexthop = %s AND expires_at > now()",
        [transport, nexthop],
    )
    return bool(cursor.fetchone()[0] < limit)


def _settle_orphans(cursor: Any, orphans: list[tuple[int, int, int, str, str]]) -> None:
    if not orphans:
        return
    cursor.execute(
        "UPDATE mta_attempt SET result = 'uncertain', finished_at = now()"
        " WHERE message_id = ANY(%s) AND recipient_id = ANY(%s) AND result = 'started'"
        " RETURNING recipient_id",
        [[row[1] for row in orphans], [row[0] for row in orphans]],
    )
    uncertain = {row[0] for row in cursor.fetchall()}
    cursor.executemany(
        "INSERT INTO mta_attempt (message_id, recipient_id, number, transport, nexthop,"
        " started_at, finished_at, result, reply, remote, tls, command)"
        " VALUES (%s, %s, %s, %s, %s, now(), now(), 'interrupted', '', '', '', '')",
        [
            (message_id, recipient_id, number, transport, nexthop)
            for recipient_id, message_id, number, transport, nexthop in orphans
            if recipient_id not in uncertain
        ],
    )
    cursor.executemany(
        "INSERT INTO mta_event (at, message_id, recipient_id, kind, data)"
        " VALUES (now(), %s, %s, 'lease_expired', %s)",
        [
            (row[1], row[0], '{"uncertain": true}' if row[0] in uncertain else "{}")
            for row in orphans
        ],
    )


def _no_wait_for_disk() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
