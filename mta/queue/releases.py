"""Mail that a filter holds for a while: when it is released, and that it is.

A release is planned before its message is committed. So a plan without its message is kept for a
day: the message may still come, or was refused after all.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from mta.queue import control
from mta.queue.control import Selection
from mta.queue.listing import fetch

BATCH = 1000

_PLAN = """
INSERT INTO mta_timedrelease AS t (message_id, at, filter, sender) VALUES (%s, %s, %s, %s)
ON CONFLICT (message_id) DO UPDATE SET at = excluded.at, filter = excluded.filter,
    sender = excluded.sender
WHERE t.at < excluded.at
"""

# Those of a message that is not there yet come last, since they may stay for a day.
_DUE = """
SELECT t.message_id, t.filter, m.id IS NOT NULL FROM mta_timedrelease t
LEFT JOIN mta_message m ON m.id = t.message_id
WHERE t.at <= now() ORDER BY m.id IS NULL, t.at LIMIT %s FOR UPDATE OF t SKIP LOCKED
"""

_DONE = """
DELETE FROM mta_timedrelease WHERE message_id = ANY(%s)
   OR (at < now() - interval '1 day' AND message_id = ANY(%s))
"""

# Of those that an administrator has released or cancelled there is nothing to tell.
_WAITING = """
SELECT t.filter, t.sender, count(*), max(t.at) FROM mta_timedrelease t
WHERE t.at > now() AND EXISTS (
    SELECT 1 FROM mta_recipient r WHERE r.message_id = t.message_id AND r.state = 'held')
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many messages of a sender that a filter holds; the last one is released at `until`."""

    filter: str
    sender: str
    messages: int
    until: datetime


def plan(message_id: int, at: datetime, filter_name: str, sender: str = "") -> None:
    """Release a message at that time; the later one counts of two. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute(_PLAN, [message_id, at, filter_name, sender])


def release_due() -> int:
    """Release what is due; gives the number of recipients. Several processes may call it at once.

    Whatever is not held any more, or has long been delivered, stays as it is.
    """
    released = 0
    with transaction.atomic(), connection.cursor() as cursor:
        due = fetch(_DUE, [BATCH])
        if not due:
            return 0
        messages: dict[str, list[int]] = defaultdict(list)
        for message_id, filter_name, is_queued in due:
            if is_queued:
                messages[filter_name].append(message_id)
        for filter_name, ids in messages.items():
            selection = Selection(message_ids=tuple(ids))
            released += control.release(selection, f"site filter {filter_name}")
        queued = [message_id for message_id, _, is_queued in due if is_queued]
        cursor.execute(_DONE, [queued, [message_id for message_id, *_ in due]])
    return released


def waiting(limit: int = 10) -> list[Waiting]:
    """Whose mail is held until later, the most first."""
    return [Waiting(*row) for row in fetch(_WAITING, [limit])]
