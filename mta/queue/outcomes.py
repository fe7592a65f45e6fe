"""Step 7: what became of the recipients of batches, written in one transaction.

Only recipients that are still under their batch's lease are changed: a worker that came too late,
after its lease was reaped, changes nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from mta.models import Attempt, State
from mta.queue import lease, prepared
from mta.queue.commit import storable
from mta.queue.lease import Batch


@dataclass(frozen=True, slots=True)
class Settlement:
    """The new life of one recipient after an attempt.

    `next_attempt` is set when the state is queued again, None when it is finished. `report` is
    the DSN that is due, "" for none. `warned` says that the delay warning is used up. `command`
    is what the peer answered. `pin` is the next hop that takes over from here, "" for the same.
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
    pin: str = ""


# One statement, so that all batches of a moment cost one round trip. Messages are locked in the
# order of their ids: two workers that finish recipients of the same messages cannot block each
# other for good.
_SETTLE = """
WITH held AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(batches)s::json) AS t(
        lease int8, transport text, nexthop text, started timestamptz, noted bool)
), given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(settlements)s::json) AS t(
        lease int8, id int8, message_id int8, number int4, state text, result text, reply text,
        remote text, tls text, command text, next_attempt float8, report text, warned bool,
        pin text)
), settled AS (
    UPDATE mta_recipient r
    SET state = g.state, last_reply = g.reply, last_remote = g.remote, last_command = g.command,
        next_attempt = coalesce(to_timestamp(g.next_attempt), r.next_attempt),
        report = CASE WHEN g.report = '' THEN r.report ELSE g.report END,
        warn_at = CASE WHEN g.warned THEN NULL ELSE r.warn_at END,
        finished_at = CASE WHEN g.next_attempt IS NULL THEN now() END,
        nexthop = CASE WHEN g.pin = '' THEN r.nexthop ELSE g.pin END,
        pinned = r.pinned OR g.pin <> '', lease_id = NULL
    FROM given g
    WHERE r.id = g.id AND r.lease_id = g.lease AND r.state = 'delivering'
    RETURNING r.id, g.lease
), ours AS (
    SELECT given.* FROM given JOIN settled USING (id, lease)
), done AS (
    SELECT message_id, count(*) AS count FROM ours WHERE next_attempt IS NULL GROUP BY message_id
), locked AS MATERIALIZED (
    SELECT m.id FROM mta_message m WHERE m.id IN (SELECT message_id FROM done)
    ORDER BY m.id FOR UPDATE
), finished AS (
    UPDATE mta_message m
    SET pending = m.pending - done.count,
        finished_at = CASE WHEN m.pending - done.count <= 0 THEN now() END
    FROM done JOIN locked ON locked.id = done.message_id
    WHERE m.id = done.message_id
), dropped AS (
    DELETE FROM mta_attempt a USING ours JOIN held USING (lease)
    WHERE held.noted AND a.message_id = ours.message_id AND a.recipient_id = ours.id
      AND a.result = 'started'
), attempts AS (
    INSERT INTO mta_attempt (message_id, recipient_id, number, transport, nexthop, started_at,
        finished_at, result, reply, remote, tls, command, next_attempt)
    SELECT message_id, id, number, held.transport, held.nexthop, held.started, now(), result,
        reply, remote, tls, command, to_timestamp(next_attempt)
    FROM ours JOIN held USING (lease) ORDER BY id
), tally AS (
    INSERT INTO mta_tally (at, kind, count)
    SELECT now(), CASE state WHEN 'failed' THEN 'bounced' WHEN 'queued' THEN 'deferred'
        ELSE state END, count(*)
    FROM ours GROUP BY 2
), ended AS (
    DELETE FROM mta_lease WHERE id = ANY(%(ended)s::int8[])
)
SELECT id, lease FROM settled ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one batch has to say at a time. `noted`: attempt rows were written before (`starting`)
    and give way to the full record. `last`: nothing of the batch is left, and its place at the
    destination is free. `starting` are recipients whose peer may have the message from now on."""

    batch: Batch
    settlements: Sequence[Settlement] = ()
    noted: bool = False
    last: bool = False
    starting: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recipient ids that were still ours to settle, and those that were ours to start."""

    settled: Sequence[int] = ()
    started: Sequence[int] = ()


def record(
    batch: Batch, settlements: Sequence[Settlement], *, noted: bool = False, last: bool = False
) -> list[int]:
    """Write the settlements of one batch. Gives the recipient ids that were still ours."""
    (recorded,) = record_all([Entry(batch, settlements, noted, last)])
    return list(recorded.settled)


def record_all(entries: Sequence[Entry]) -> list[Recorded]:
    """Write what all these batches have to say, in one transaction; an answer for each."""
    ours = [each for each in entries if each.settlements or each.last]
    starts = [
        (recipient_id, each.batch.lease_id) for each in entries for recipient_id in each.starting
    ]
    if ours and starts:
        with transaction.atomic():
            settled, started = _settle(ours), lease.start(starts)
    else:
        settled = _settle(ours) if ours else set()
        # Nobody waits for the disk: it has to outlive the worker, and the database survives that.
        started = lease.start(starts, relaxed=True) if starts else set()
    return [_recorded(each, settled, started) for each in entries]


def _settle(entries: Sequence[Entry]) -> set[tuple[int, int]]:
    """(recipient id, lease id) of those that were still ours."""
    rows = prepared.execute(
        _SETTLE,
        {
            "batches": json.dumps([_held(entry) for entry in entries]),
            "settlements": json.dumps(
                [_row(entry.batch, each) for entry in entries for each in entry.settlements]
            ),
            "ended": [entry.batch.lease_id for entry in entries if entry.last],
        },
    )
    return {(row[0], row[1]) for row in rows}


def _recorded(
    entry: Entry, settled: set[tuple[int, int]], started: set[tuple[int, int]]
) -> Recorded:
    lease_id = entry.batch.lease_id
    ids = sorted(each.recipient_id for each in entry.settlements)
    return Recorded(
        [each for each in ids if (each, lease_id) in settled],
        [each for each in entry.starting if (each, lease_id) in started],
    )


def give_back(batch: Batch, recipient_ids: Sequence[int]) -> None:
    """Recipients that were not tried are due again at once; the attempt does not count."""
    if not recipient_ids:
        return
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


def _held(entry: Entry) -> dict[str, Any]:
    batch = entry.batch
    return {
        "lease": batch.lease_id,
        "transport": batch.transport,
        "nexthop": batch.nexthop,
        "started": batch.acquired_at.isoformat(),
        "noted": entry.noted,
    }


def _row(batch: Batch, settlement: Settlement) -> dict[str, Any]:
    next_attempt = settlement.next_attempt
    return {
        "lease": batch.lease_id,
        "id": settlement.recipient_id,
        "message_id": settlement.message_id,
        "number": settlement.number,
        "state": settlement.state,
        "result": settlement.result,
        "reply": storable(settlement.reply),
        "remote": storable(settlement.remote),
        "tls": settlement.tls,
        "command": storable(settlement.command),
        "next_attempt": next_attempt.timestamp() if next_attempt else None,
        "report": settlement.report,
        "warned": settlement.warned,
        "pin": settlement.pin,
    }
