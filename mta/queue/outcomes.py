"""Step 7: what became of the recipients of a batch, written in one transaction.

Only recipients that are still under the batch's lease are changed: a worker that came too late,
after its lease was reaped, changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from mta.models import Attempt, State
from mta.queue.lease import Batch


@dataclass(frozen=True, slots=True)
class Settlement:
    """The new life of one recipient after an attempt.

    `next_attempt` is set when the state is queued again, None when it is finished. `report` is
    the DSN that is due, "" for none. `warned` says that the delay warning is used up. `command`
    is what the peer answered.
    """

    recipient_id: int
    message_id: int
    number: int
    state: State
    result: Attempt.Result
    reply: str
    next_attempt: datetime | None = None
    report: str = ""
    warned: bool = False
    remote: str = ""
    tls: str = ""
    command: str = ""


_SETTLE = """
UPDATE mta_recipient r
SET state = o.state, last_reply = o.reply, last_remote = o.remote, last_command = o.command,
    next_attempt = coalesce(o.next_attempt, r.next_attempt),
    report = CASE WHEN o.report = '' THEN r.report ELSE o.report END,
    warn_at = CASE WHEN o.warned THEN NULL ELSE r.warn_at END,
    finished_at = CASE WHEN o.next_attempt IS NULL THEN now() END,
    lease_id = NULL
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
            %s::text[], %s::bool[])
     AS o(id, state, reply, remote, command, next_attempt, report, warned)
WHERE r.id = o.id AND r.lease_id = %s AND r.state = 'delivering'
RETURNING r.id
"""

_FINISH_MESSAGES = """
UPDATE mta_message m
SET pending = m.pending - d.count,
    finished_at = CASE WHEN m.pending - d.count <= 0 THEN now() END
FROM (SELECT unnest(%s::bigint[]) AS id, unnest(%s::int[]) AS count ORDER BY 1) d
WHERE m.id = d.id
"""

_ATTEMPTS = """
INSERT INTO mta_attempt (message_id, recipient_id, number, transport, nexthop, started_at,
                         finished_at, result, reply, remote, tls, command, next_attempt)
SELECT o.message_id, o.recipient_id, o.number, %s, %s, %s, now(), o.result, o.reply, o.remote,
       o.tls, o.command, o.next_attempt
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::timestamptz[])
     AS o(message_id, recipient_id, number, result, reply, remote, tls, command, next_attempt)
"""

_TALLY_KINDS = {
    State.DELIVERED: "delivered",
    State.RELAYED: "relayed",
    State.DISCARDED: "discarded",
    State.FAILED: "bounced",
    State.EXPIRED: "expired",
    State.QUEUED: "deferred",
}


def record(batch: Batch, settlements: Sequence[Settlement], noted: Iterable[int] = ()) -> list[int]:
    """Write the settlements. Gives the recipient ids that were still ours to settle.

    `noted` are the recipients whose attempt row was written before (`lease.started`).
    """
    if not settlements:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SETTLE, [*_columns(settlements), batch.lease_id])
        settled = {row[0] for row in cursor.fetchall()}
        ours = [settlement for settlement in settlements if settlement.recipient_id in settled]
        _finish_messages(cursor, ours)
        _drop_started(cursor, ours, set(noted))
        _insert_attempts(cursor, batch, ours)
        _tally(cursor, ours)
    return sorted(settled)


def give_back(batch: Batch, recipient_ids: Sequence[int]) -> None:
    """Recipients that were not tried are due again at once; the attempt does not count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mta_recipient SET state = 'queued', lease_id = NULL, attempts = attempts - 1"
            " WHERE id = ANY(%s) AND lease_id = %s AND state = 'delivering'",
            [list(recipient_ids), batch.lease_id],
        )


def reroute(batch: Batch, routes: Sequence[tuple[int, str, str]]) -> None:
    """(recipient id, transport, nexthop): they wait for another destination, due at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mta_recipient r SET state = 'queued', lease_id = NULL,"
            " attempts = r.attempts - 1, transport = o.transport, nexthop = o.nexthop"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS o(id, transport, nexthop)"
            " WHERE r.id = o.id AND r.lease_id = %s AND r.state = 'delivering'",
            [*(list(column) for column in zip(*routes, strict=True)), batch.lease_id],
        )


def end_lease(batch: Batch) -> None:
    """The batch is settled; its place at the destination is free."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute("DELETE FROM mta_lease WHERE id = %s", [batch.lease_id])


def _columns(settlements: Sequence[Settlement]) -> list[list[Any]]:
    return [
        [settlement.recipient_id for settlement in settlements],
        [settlement.state.value for settlement in settlements],
        [settlement.reply for settlement in settlements],
        [settlement.remote for settlement in settlements],
        [settlement.command for settlement in settlements],
        [settlement.next_attempt for settlement in settlements],
        [settlement.report for settlement in settlements],
        [settlement.warned for settlement in settlements],
    ]


def _finish_messages(cursor: Any, settlements: Sequence[Settlement]) -> None:
    finished = Counter(
        settlement.message_id for settlement in settlements if settlement.next_attempt is None
    )
    if finished:
        cursor.execute(_FINISH_MESSAGES, [list(finished.keys()), list(finished.values())])


def _drop_started(cursor: Any, settlements: Sequence[Settlement], noted: set[int]) -> None:
    """The note that the final dot was near gives way to the full record of the attempt."""
    mine = [settlement for settlement in settlements if settlement.recipient_id in noted]
    if mine:
        cursor.execute(
            "DELETE FROM mta_attempt WHERE message_id = ANY(%s) AND recipient_id = ANY(%s)"
            " AND result = 'started'",
            [[item.message_id for item in mine], [item.recipient_id for item in mine]],
        )


def _insert_attempts(cursor: Any, batch: Batch, settlements: Sequence[Settlement]) -> None:
    columns: list[list[Any]] = [
        [settlement.message_id for settlement in settlements],
        [settlement.recipient_id for settlement in settlements],
        [settlement.number for settlement in settlements],
        [settlement.result.value for settlement in settlements],
        [settlement.reply for settlement in settlements],
        [settlement.remote for settlement in settlements],
        [settlement.tls for settlement in settlements],
        [settlement.command for settlement in settlements],
        [settlement.next_attempt for settlement in settlements],
    ]
    cursor.execute(_ATTEMPTS, [batch.transport, batch.nexthop, batch.acquired_at, *columns])


def _tally(cursor: Any, settlements: Sequence[Settlement]) -> None:
    counts = Counter(_TALLY_KINDS[settlement.state] for settlement in settlements)
    cursor.execute(
        "INSERT INTO mta_tally (at, kind, count)"
        " SELECT now(), * FROM unnest(%s::text[], %s::int[])",
        [list(counts.keys()), list(counts.values())],
    )
