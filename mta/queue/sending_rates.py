"""Step 3, the memory of the filter sender_rate: how many recipients each sender had lately.

One transaction for each message, one at a time for each sender, so that the limit holds over all
processes.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from mta.protocol import sending_rate
from mta.protocol.sending_rate import Booking, Slot, Usage
from mta.queue import prepared, releases
from mta.queue.commit import storable
from mta.queue.listing import fetch

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('rate:' || %s || ' ' || %s, 0))"

_TAKEN = """
SELECT extract(epoch FROM begins)::float8, recipients FROM mta_sendingrate
WHERE filter = %s AND sender = %s AND begins > %s
"""

_COUNT = """
INSERT INTO mta_sendingrate AS r (filter, sender, begins, recipients) VALUES (%s, %s, %s, %s)
ON CONFLICT (filter, sender, begins) DO UPDATE SET recipients = r.recipients + excluded.recipients
"""


def book(usage: Usage) -> Booking:
    """Count a message that goes or waits, and plan the release of one that waits. Raises
    DatabaseError."""
    sender = storable(usage.sender)
    limit = usage.limit
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, [usage.filter, sender])
        oldest = _time(usage.at - limit.window - limit.slot)
        rows = fetch(_TAKEN, [usage.filter, sender, oldest])
        taken = [Slot(*row) for row in rows]
        booking = sending_rate.book(taken, usage.recipients, limit, usage.at)
        if booking.wait is None or usage.rehearsal:
            return booking
        goes = usage.at + booking.wait
        counted = min(usage.recipients, limit.recipients)
        cursor.execute(_COUNT, [usage.filter, sender, _time(limit.slot_of(goes)), counted])
        if booking.wait:
            releases.plan(usage.message_id, _time(goes), usage.filter, sender)
        else:
            prepared.relax()
    return booking


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
