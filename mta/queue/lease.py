"""Step 5, taking work: due recipients of one next hop, claimed under a lease.

`FOR UPDATE SKIP LOCKED` lets any number of workers on any hosts claim side by side. A lease
that runs out is work again (`reap`), so a worker that dies loses time, never mail. The number of
live leases on a next hop is its number of simultaneous deliveries (`mta.queue.limited_claim`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from mta.queue import prepared


@dataclass(frozen=True, slots=True)
class LeasedRecipient:
    """One claimed recipient with what of its message a transport needs. Times are aware UTC.

    A small content comes along; of a large one `content` is None.
    """

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
    verp: bool = False
    requiretls: bool = False
    return_path: str = ""
    content: bytes | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """The recipients of one lease, oldest message first, and the policy in force by then."""

    lease_id: int
    transport: str
    nexthop: str
    acquired_at: datetime
    recipients: tuple[LeasedRecipient, ...]
    policy_version: int = 0


# The next hops of a transport that have queued recipients, found by hopping along the index
# (transport, nexthop, next_attempt) so that a million rows of one destination cost one step.
DUE_HOPS = """
WITH RECURSIVE hop AS (
    (SELECT nexthop FROM mta_recipient
     WHERE transport = %(transport)s::text AND state = 'queued' ORDER BY nexthop LIMIT 1)
    UNION ALL
    SELECT (SELECT r.nexthop FROM mta_recipient r
            WHERE r.transport = %(transport)s::text AND r.state = 'queued'
              AND r.nexthop > hop.nexthop
            ORDER BY r.nexthop LIMIT 1)
    FROM hop WHERE hop.nexthop IS NOT NULL
), overdue AS (
    SELECT hop.nexthop,
           (SELECT r.next_attempt FROM mta_recipient r
            WHERE r.transport = %(transport)s::text AND r.state = 'queued'
              AND r.nexthop = hop.nexthop
            ORDER BY r.next_attempt LIMIT 1) AS at
    FROM hop WHERE hop.nexthop IS NOT NULL
)
"""

# Lease and claim in one: the lease row is made only when there is something to hold.
_NEW_LEASE = """, lease AS (
    INSERT INTO mta_lease (transport, nexthop, owner, acquired_at, expires_at)
    SELECT %(transport)s::text, chosen.nexthop, %(owner)s::text, now(),
           now() + make_interval(secs => %(seconds)s::float8)
    FROM chosen WHERE EXISTS (SELECT 1 FROM due)
    RETURNING id, nexthop, acquired_at
)"""

# The ids as an array, so that the planner counts on a few and looks them up by their index.
_TAKE = """
UPDATE mta_recipient r
SET state = 'delivering', lease_id = lease.id, attempts = r.attempts + 1
FROM lease, mta_message m
WHERE r.id = ANY(ARRAY(SELECT id FROM due)) AND r.nexthop = lease.nexthop AND m.id = r.message_id
RETURNING lease.id, lease.nexthop, lease.acquired_at,
          (SELECT version FROM mta_policystate WHERE id = 1),
          r.id, r.message_id, r.address, r.original_recipient, r.notify, r.attempts,
          r.expires_at, r.warn_at, m.created_at, m.reverse_path, m.ret, m.envid, m.smtputf8,
          m.eight_bit, m.size, m.verp, m.requiretls, r.return_path,
          CASE WHEN m.size <= 16384 THEN
              (SELECT data FROM mta_content c WHERE c.message_id = m.id)
          END, r.pinned
"""

# Compared with one value, so that the index gives the order and the limit ends the scan.
_DUE = """
SELECT r.id FROM mta_recipient r
WHERE r.transport = %(transport)s::text AND r.nexthop = {nexthop}
  AND r.state = 'queued' AND r.next_attempt <= now() {besides}
ORDER BY r.next_attempt LIMIT {count} FOR UPDATE OF r SKIP LOCKED
"""

# Nobody waits for the disk here (local to the statement's own transaction): a claim that a
# database crash forgets does no harm where delivery is idempotent.
_TAKE_OLDEST = f"""{DUE_HOPS}, relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), chosen AS MATERIALIZED (
    SELECT overdue.nexthop FROM overdue, relaxed WHERE at <= now() ORDER BY at LIMIT 1
), due AS (
    {_DUE.format(nexthop="(SELECT nexthop FROM chosen)", besides="", count="%(batch)s::int8")}
){_NEW_LEASE}{_TAKE}"""

# Of many next hops at once, each under a lease of its own or under one that is held and alive.
_TAKE_EACH = """
WITH wanted AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(wanted)s::json) AS t(nexthop text, count int8, lease int8)
), due AS MATERIALIZED (
    SELECT found.id, wanted.nexthop FROM wanted CROSS JOIN LATERAL ({due}) found
), made AS (
    INSERT INTO mta_lease (transport, nexthop, owner, acquired_at, expires_at)
    SELECT %(transport)s::text, nexthop, %(owner)s::text, now(),
           now() + make_interval(secs => %(seconds)s::float8)
    FROM wanted
    WHERE lease IS NULL AND EXISTS (SELECT 1 FROM due WHERE due.nexthop = wanted.nexthop)
    RETURNING id, nexthop, acquired_at
), held AS MATERIALIZED (
    SELECT id, nexthop, acquired_at FROM mta_lease
    WHERE id IN (SELECT lease FROM wanted) AND expires_at > now() FOR UPDATE
), lease AS (
    SELECT * FROM made UNION ALL SELECT * FROM held
)"""

_TAKE_FROM = (
    _TAKE_EACH.replace(
        "{due}",
        _DUE.format(
            nexthop="wanted.nexthop",
            besides="AND r.address <> ALL(%(full)s::text[])",
            count="wanted.count",
        ),
    )
    + _TAKE
)
_TAKE_OVERDUE = (
    _TAKE_EACH.replace(
        "{due}",
        _DUE.format(
            nexthop="wanted.nexthop",
            besides="AND least(r.expires_at, r.warn_at) <= now()",
            count="wanted.count",
        ),
    )
    + _TAKE
)


_START = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(ids)s::int8[], %(leases)s::int8[]) AS t(id, lease)
), ours AS MATERIALIZED (
    SELECT r.* FROM given g JOIN mta_recipient r ON r.id = g.id AND r.lease_id = g.lease
    WHERE r.state = 'delivering' FOR SHARE OF r
)
INSERT INTO mta_attempt (message_id, recipient_id, number, transport, nexthop, started_at, result,
    reply, remote, tls, command)
SELECT message_id, id, attempts, transport, nexthop, now(), 'started', '', '', '', '' FROM ours
RETURNING recipient_id
"""
_START_RELAXED = _START.replace(
    "AS t(id, lease)", "AS t(id, lease), set_config('synchronous_commit', 'off', true)"
)


def claim(transport: str, *, batch: int, lease: timedelta, owner: str) -> Batch | None:
    """The most overdue next hop's recipients, at most `batch` of them; None when nothing is due.

    For transports without a limit per next hop, whose delivery is idempotent. `owner` names the
    process.
    """
    values = {
        "transport": transport,
        "batch": batch,
        "owner": owner,
        "seconds": lease.total_seconds(),
    }
    return batch_of(transport, prepared.execute(_TAKE_OLDEST, values))


@dataclass(frozen=True, slots=True)
class Want:
    """So many recipients of a next hop: under a new lease, or under a held one by its id."""

    nexthop: str
    count: int
    lease: int | None = None


def take_from(
    transport: str, wants: Sequence[Want], *, owner: str, seconds: float, full: Sequence[str] = ()
) -> dict[str, Batch]:
    """Due recipients of these next hops, no hop twice, by next hop; those that have none are not
    there. Recipients with an address in `full` are left. `seconds` is the length of a lease."""
    return _take(_TAKE_FROM, transport, wants, owner=owner, seconds=seconds, full=list(full))


def take_overdue(batch: Batch, count: int) -> tuple[LeasedRecipient, ...]:
    """Recipients of the same next hop whose warning or expiry is due, under the same lease: when
    it cannot be reached, that is the result for them too."""
    want = Want(batch.nexthop, count, batch.lease_id)
    taken = _take(_TAKE_OVERDUE, batch.transport, [want], owner="", seconds=0.0)
    return taken[batch.nexthop].recipients if taken else ()


def _take(statement: str, transport: str, wants: Sequence[Want], **values: Any) -> dict[str, Batch]:
    wanted = json.dumps([asdict(want) for want in wants])
    rows = prepared.execute(statement, {"transport": transport, "wanted": wanted, **values})
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(row)
    batches = (batch_of(transport, group) for group in found.values())
    return {batch.nexthop: batch for batch in batches if batch is not None}


def batch_of(transport: str, rows: list[tuple[Any, ...]]) -> Batch | None:
    """What a claim returned as a batch; None when it took nothing."""
    if not rows:
        return None
    lease_id, nexthop, acquired_at, policy_version = rows[0][:4]
    recipients = [LeasedRecipient(*row[4:]) for row in rows]
    recipients.sort(key=lambda recipient: (recipient.message_id, recipient.id))
    return Batch(lease_id, transport, nexthop, acquired_at, tuple(recipients), policy_version)


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
    rows = prepared.execute(
        "SELECT message_id, data FROM mta_content WHERE message_id = ANY(%(ids)s::int8[])",
        {"ids": list(message_ids)},
    )
    return dict(rows)


class LeaseLost(Exception):
    """The lease ran out and was reaped: its recipients are somebody else's work now."""


def started(batch: Batch, recipient_ids: Iterable[int]) -> None:
    """Note that the peer may have the message from now on: a crash after this is *uncertain*.

    Raises LeaseLost; then the final dot must not be sent.
    """
    ids = list(recipient_ids)
    if len(start([(each, batch.lease_id) for each in ids], relaxed=True)) != len(ids):
        raise LeaseLost(f"lease {batch.lease_id} is over")


def start(pairs: Sequence[tuple[int, int]], *, relaxed: bool = False) -> set[tuple[int, int]]:
    """`started` for many of (recipient id, lease id); gives those that were still so leased.

    With `relaxed` the transaction at hand is not waited for on disk.
    """
    leases = dict(pairs)
    rows = prepared.execute(
        _START_RELAXED if relaxed else _START,
        {"ids": list(leases), "leases": list(leases.values())},
    )
    return {(row[0], leases[row[0]]) for row in rows}


def reap() -> list[int]:
    """End the leases that ran out; their recipients are due again: at once the first time,
    then a minute later for each attempt before.

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
            "UPDATE mta_recipient SET state = 'queued', lease_id = NULL,"
            # What kills its worker again and again must not spin.
            " next_attempt = now() + least(attempts - 1, 60) * interval '1 minute'"
            " WHERE lease_id = ANY(%s) AND state = 'delivering'"
            " RETURNING id, message_id, attempts, transport, nexthop",
            [dead],
        )
        orphans = cursor.fetchall()
        _settle_orphans(cursor, orphans)
    return [row[0] for row in orphans]


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
