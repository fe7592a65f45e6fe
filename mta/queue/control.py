"""What people do to the queue: hold, release, retry now, reroute, expire, cancel.

Each verb is one transaction. It locks the recipients whose state still fits, in the order of
their ids, changes them, and writes one event for each; so it may run beside the workers and
beside another administrator. A recipient that is being delivered is never interrupted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from mta import maillog
from mta.models import State
from mta.protocol import status
from mta.protocol.reply import Reply
from mta.queue.listing import LIVE, QueueFilter

MAX_REASON = 500
DEFAULT_REASON = "the message was cancelled by an administrator"


@dataclass(frozen=True, slots=True)
class Selection:
    """Live recipients: those named by id or in a message named by id, else all.

    `filter` narrows further. The empty selection is everything that is live.
    """

    message_ids: tuple[int, ...] = ()
    recipient_ids: tuple[int, ...] = ()
    filter: QueueFilter | None = None

    def where(self) -> tuple[str, list[Any]]:
        """An SQL condition on `r` (recipient) and `m` (message), and its parameters."""
        conditions, values = self.filter.conditions() if self.filter else ([], [])
        named = []
        if self.message_ids:
            named.append("r.message_id = ANY(%s)")
            values.append(list(self.message_ids))
        if self.recipient_ids:
            named.append("r.id = ANY(%s)")
            values.append(list(self.recipient_ids))
        if named:
            conditions.append(f"({' OR '.join(named)})")
        return " AND ".join([LIVE, *conditions]), values


# The row lock makes PostgreSQL check the condition again on the newest version of a row that
# a worker changed meanwhile: what no longer fits drops out.
_CHOSEN = """
WITH chosen AS MATERIALIZED (
    SELECT r.id FROM mta_recipient r JOIN mta_message m ON m.id = r.message_id
    WHERE {where} AND r.state IN ({states})
    ORDER BY r.id FOR UPDATE OF r
), changed AS (
    UPDATE mta_recipient r SET {change} FROM chosen WHERE r.id = chosen.id
    RETURNING r.id, r.message_id
), recorded AS (
    INSERT INTO mta_event (at, message_id, recipient_id, kind, data)
    SELECT now(), message_id, id, %s, %s::jsonb FROM changed
)
"""

_COUNT = "SELECT count(*) FROM changed"

# Who changes messages and recipients together locks the messages first, in the order of ids.
_LOCK_MESSAGES = """
SELECT 1 FROM mta_message WHERE id IN (
    SELECT m.id FROM mta_recipient r JOIN mta_message m ON m.id = r.message_id
    WHERE {where} AND r.state IN ({states})
) ORDER BY id FOR UPDATE
"""

_FINISH = """
, finished AS (
    SELECT message_id, count(*) AS recipients FROM changed GROUP BY message_id
), counted AS (
    UPDATE mta_message m SET
        pending = m.pending - finished.recipients,
        finished_at = CASE WHEN m.pending = finished.recipients THEN now() END
    FROM finished WHERE m.id = finished.message_id
), tallied AS (
    INSERT INTO mta_tally (at, kind, count)
    SELECT now(), 'cancelled', sum(recipients) FROM finished HAVING sum(recipients) > 0
)
"""

_QUEUED = "'queued'"
_HELD = "'held'"

# A failure is reported unless the sender asked for other reports only (RFC 3461 4.1).
_CANCEL = """
    state = 'cancelled', finished_at = now(), lease_id = NULL, warn_at = NULL,
    last_reply = %s, last_remote = '', last_command = '',
    report = CASE
        WHEN r.notify = '' OR 'FAILURE' = ANY(string_to_array(r.notify, ',')) THEN 'failed'
        ELSE '' END
"""


def hold(selection: Selection, actor: str, reason: str = "") -> int:
    """Keep queued recipients from being tried; their next attempt stays as it was."""
    return _apply(selection, _QUEUED, "state = 'held'", [], "held", actor, reason)


def release(selection: Selection, actor: str) -> int:
    """Give held recipients back to the scheduler."""
    return _apply(selection, _HELD, "state = 'queued'", [], "released", actor)


def retry(selection: Selection, actor: str) -> int:
    """Make queued recipients due now; held ones stay held."""
    change = "next_attempt = least(r.next_attempt, now())"
    return _apply(selection, _QUEUED, change, [], "retried", actor)


def cancel(selection: Selection, actor: str, reason: str) -> int:
    """Fail queued and held recipients for good; the sender gets the usual report."""
    reason = _line(reason) or DEFAULT_REASON
    reply = str(Reply(550, status.SECURITY, reason))
    return _apply(
        selection,
        f"{_QUEUED}, {_HELD}",
        _CANCEL,
        [reply],
        "cancelled",
        actor,
        reason,
        then=_FINISH,
    )


def reroute(
    selection: Selection, actor: str, route: tuple[str, str] | None, reason: str = ""
) -> int:
    """Send queued and held recipients by this (transport, next hop) from now on, whatever their
    addresses say; None gives them back to normal routing. The queued ones are due at once."""
    due = "next_attempt = least(r.next_attempt, now())"
    if route is None:
        change, values, words = f"pinned = false, {due}", [], "back to normal"
    else:
        change = f"pinned = true, transport = %s, nexthop = %s, {due}"
        values, words = list(route), f"to {route[1]}"
    told = ": ".join(filter(None, (words, _line(reason))))
    return _apply(selection, f"{_QUEUED}, {_HELD}", change, values, "rerouted", actor, told)


def expire_at(selection: Selection, actor: str, at: datetime, reason: str = "") -> int:
    """Change when queued and held recipients are given up. The attempt that decides comes no
    later than that."""
    change = "expires_at = %s, next_attempt = least(r.next_attempt, greatest(%s, now()))"
    told = ": ".join(filter(None, (f"{at:%Y-%m-%d %H:%M:%S %Z}", _line(reason))))
    return _apply(selection, f"{_QUEUED}, {_HELD}", change, [at, at], "expiry", actor, told)


def count(selection: Selection, states: Sequence[State] = ()) -> int:
    """How many live recipients the selection holds: all, or those in certain states."""
    where, values = selection.where()
    if states:
        where += " AND r.state = ANY(%s)"
        values.append([str(state) for state in states])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM mta_recipient r JOIN mta_message m ON m.id = r.message_id"
            f" WHERE {where}",
            values,
        )
        (found,) = cursor.fetchone()
    return int(found)


def _apply(
    selection: Selection,
    states: str,
    change: str,
    change_values: list[Any],
    kind: str,
    actor: str,
    reason: str = "",
    then: str = "",
) -> int:
    """Run one verb and tell how many recipients it changed; `then` goes on with messages."""
    where, where_values = selection.where()
    data = json.dumps({"actor": _line(actor), "reason": _line(reason)})
    sql = _CHOSEN.format(where=where, states=states, change=change) + then + _COUNT
    with transaction.atomic(), connection.cursor() as cursor:
        # A verb on a million recipients takes longer than a page may.
        cursor.execute("SET LOCAL statement_timeout = '10min'")
        if then:
            cursor.execute(_LOCK_MESSAGES.format(where=where, states=states), where_values)
        cursor.execute(sql, [*where_values, *change_values, kind, data])
        (changed,) = cursor.fetchone()
    if changed:
        maillog.controlled(kind, actor, changed, reason)
    return int(changed)


def _line(text: str) -> str:
    """One printable line: what was typed goes into replies, reports and events."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:MAX_REASON]
