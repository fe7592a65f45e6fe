"""Step 3, the memory of the filter duplicate_slew: which messages looked alike lately.

One transaction for each message, one at a time for each filter, so that two copies that come to
two processes at the same moment are two copies.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from mta.protocol import slew
from mta.protocol.slew import Copy, Sighting, Word
from mta.queue import control, prepared
from mta.queue.control import Selection
from mta.queue.listing import fetch

REASON = "cancelled as a duplicate: too many copies of this message were sent"

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('slew:' || %s, 0))"

# What was seen and did not get into the queue was refused by somebody else or asked to come
# again: such a message is not one more copy when it comes. One just seen may be on its way there.
_EARLIER = """
SELECT s.message_id, s.{side}_stopped FROM (
    SELECT * FROM mta_slewsighting WHERE filter = %s ORDER BY id DESC LIMIT %s
) s
WHERE s.{side} = %s AND s.message_id <> %s
  AND (%s = 0 OR s.at > now() - make_interval(secs => %s))
  AND (s.top_stopped OR s.bottom_stopped OR s.at > now() - interval '1 minute'
       OR EXISTS (SELECT 1 FROM mta_message m WHERE m.id = s.message_id))
ORDER BY s.id DESC
"""

_REMEMBER = """
INSERT INTO mta_slewsighting
    (filter, at, message_id, top, bottom, top_stopped, bottom_stopped)
VALUES (%s, now(), %s, %s, %s, %s, %s)
ON CONFLICT (filter, message_id) DO NOTHING
"""

_STOP = """
UPDATE mta_slewsighting SET {side}_stopped = true WHERE filter = %s AND message_id = ANY(%s)
"""

_FORGET_BEYOND = """
DELETE FROM mta_slewsighting WHERE filter = %s AND id <= (
    SELECT id FROM mta_slewsighting WHERE filter = %s ORDER BY id DESC OFFSET %s LIMIT 1)
"""

_STOPPED = """
SELECT filter, count(*), count(DISTINCT CASE WHEN top_stopped THEN top ELSE bottom END), max(at)
FROM mta_slewsighting WHERE at >= %s AND (top_stopped OR bottom_stopped)
GROUP BY 1 ORDER BY 2 DESC LIMIT 10
"""


@dataclass(frozen=True, slots=True)
class Stopped:
    """So many copies of so many texts that a filter took for slews; the last came at `last_at`."""

    filter: str
    copies: int
    texts: int
    last_at: datetime


def stopped(since: datetime) -> list[Stopped]:
    """What each filter stopped, or would have if it did not only log."""
    return [Stopped(*row) for row in fetch(_STOPPED, [since])]


def see(sighting: Sighting) -> Word:
    """Count a message, and stop the slew that it completes. Raises DatabaseError.

    Asked twice about the same message it counts once.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, [sighting.filter])
        top = slew.judge(_earlier(sighting, "top", sighting.top), sighting.level)
        bottom = slew.judge(_earlier(sighting, "bottom", sighting.bottom), sighting.level)
        stop = tuple(dict.fromkeys([*top.stop, *bottom.stop]))
        word = Word(top.slew or bottom.slew, max(top.copies, bottom.copies), stop)
        if sighting.rehearsal:
            return word
        _remember(cursor, sighting, top, bottom)
        if sighting.enforced and stop:
            selection = Selection(message_ids=stop)
            control.cancel(selection, f"site filter {sighting.filter}", REASON)
        else:
            prepared.relax()
    return word


def _earlier(sighting: Sighting, side: str, digest: bytes) -> list[Copy]:
    values = [
        sighting.filter,
        sighting.remembered,
        digest,
        sighting.message_id,
        sighting.seconds,
        sighting.seconds,
    ]
    return [Copy(*row) for row in fetch(_EARLIER.format(side=side), values)]


def _remember(cursor: Any, sighting: Sighting, top: Word, bottom: Word) -> None:
    name = sighting.filter
    digests = [sighting.top, sighting.bottom, top.slew, bottom.slew]
    cursor.execute(_REMEMBER, [name, sighting.message_id, *digests])
    for side, word in (("top", top), ("bottom", bottom)):
        if word.stop:
            cursor.execute(_STOP.format(side=side), [name, list(word.stop)])
    cursor.execute(_FORGET_BEYOND, [name, name, sighting.remembered])
