"""Step 5, taking work within limits: who may be served next, judged in the claiming SQL.

Everything is counted in the database under the lock of the destination's row, so the limits hold
over any number of workers on any hosts. A destination has room while it is neither paused nor
waiting for its probe, has fewer live leases than its concurrency and its limits allow, and its
rate has tokens left. Among those with room the one served longest ago comes first, so that a
million recipients of one destination do not stand before the one recipient of another.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from mta.models import DeliveryLimit
from mta.queue import prepared
from mta.queue.lease import DUE_HOPS, Batch, LeasedRecipient, batch_of, take_from

# What the settings, the limits and the row of a destination say about one next hop. A bucket
# holds ten seconds' worth: so much may go at once after a silence.
_ROOM = """
    SELECT h.nexthop, {at} AS at,
        CASE WHEN d.state = 'paused' OR d.next_probe > now() THEN 0
             WHEN d.state = 'down' THEN 1
             ELSE least(
                CASE WHEN %(adaptive)s::bool THEN coalesce(d.concurrency, 2) END,
                coalesce(own.simultaneous, every.simultaneous, %(limit)s::int4)) END AS allowed,
        (SELECT count(*) FROM mta_lease l
         WHERE l.transport = %(transport)s::text AND l.nexthop = h.nexthop
           AND l.expires_at > now()) AS live,
        rate.per_minute,
        CASE WHEN rate.per_minute > 0 THEN least(greatest(1, rate.per_minute * 10 / 60.0),
              coalesce(d.tokens, 'infinity') + rate.per_minute / 60.0
              * coalesce(extract(epoch FROM now() - d.tokens_at), 0)) END AS tokens,
        d.served_at, d.state,
        d.last_ok_at IS NOT NULL AND d.state IN ('ok', 'throttled') AS proven
    FROM {hops} h
    LEFT JOIN mta_destination d ON d.transport = %(transport)s::text AND d.nexthop = h.nexthop
    LEFT JOIN mta_deliverylimit own ON own.transport = %(transport)s::text
        AND own.scope = %(scope)s::text AND own.nexthop = h.nexthop
    LEFT JOIN mta_deliverylimit every ON every.transport = %(transport)s::text
        AND every.scope = %(scope)s::text AND every.nexthop = '*'
    CROSS JOIN LATERAL (SELECT coalesce(own.per_minute, every.per_minute) AS per_minute) rate
"""

# Destinations that never took anything may be dead, and each then holds its slots for as long as
# a connection may take: a quarter of a worker's slots is kept for those that are known to work.
_NEXT = (
    DUE_HOPS
    + f"""
, room AS ({_ROOM.format(hops="overdue", at="h.at")}
    WHERE h.at <= now() AND h.nexthop <> ALL(%(busy)s::text[])
), unproven AS (
    SELECT count(*) AS live FROM mta_lease l
    LEFT JOIN mta_destination d ON d.transport = l.transport AND d.nexthop = l.nexthop
    WHERE l.owner = %(owner)s::text AND l.expires_at > now()
      AND (d.last_ok_at IS NULL OR d.state = 'down')
)
SELECT nexthop FROM room
WHERE coalesce(live < allowed, true) AND coalesce(tokens >= 1, true)
  AND (proven OR %(slots)s::int4 = 0
       OR (SELECT live FROM unproven) < ceil(%(slots)s::int4 * 0.75))
ORDER BY served_at NULLS FIRST, at LIMIT 1
"""
)

_KNOWN = """
INSERT INTO mta_destination (transport, nexthop, changed_at)
SELECT %s, hop, now() FROM unnest(%s::text[]) AS hop ORDER BY hop
ON CONFLICT (transport, nexthop) DO NOTHING
"""

# The transport's own row ("*") is locked first, by everybody.
_LOCK = """
SELECT 1 FROM mta_destination WHERE transport = %s AND nexthop = ANY(%s)
ORDER BY nexthop <> '*', nexthop FOR UPDATE
"""

_LOOK = f"""
WITH hop AS (SELECT %(nexthop)s::text AS nexthop), room AS ({_ROOM.format(hops="hop", at="NULL")})
SELECT allowed, live, per_minute, tokens, state FROM room
"""

_LOOK_AT_TRANSPORT = """
SELECT l.simultaneous,
    (SELECT count(*) FROM mta_lease
     WHERE transport = %(transport)s::text AND expires_at > now()),
    l.per_minute,
    CASE WHEN l.per_minute > 0 THEN least(greatest(1, l.per_minute * 10 / 60.0),
          coalesce(d.tokens, 'infinity') + l.per_minute / 60.0
          * coalesce(extract(epoch FROM now() - d.tokens_at), 0)) END
FROM mta_deliverylimit l
LEFT JOIN mta_destination d ON d.transport = l.transport AND d.nexthop = '*'
WHERE l.transport = %(transport)s::text AND l.scope = 'transport'
"""

_CHARGE = """
UPDATE mta_destination SET served_at = now(), tokens = %s, tokens_at = now()
WHERE transport = %s AND nexthop = %s
"""

# Mailboxes that have as many deliveries under way as they may.
_FULL_MAILBOXES = """
SELECT busy.address FROM (
    SELECT r.address, count(DISTINCT r.lease_id) AS live FROM mta_recipient r
    WHERE r.lease_id IS NOT NULL AND r.state = 'delivering' AND r.transport = %(transport)s
    GROUP BY r.address
) busy
LEFT JOIN mta_deliverylimit own ON own.transport = %(transport)s AND own.scope = 'mailbox'
    AND own.nexthop = lower(busy.address)
LEFT JOIN mta_deliverylimit every ON every.transport = %(transport)s
    AND every.scope = 'mailbox' AND every.nexthop = '*'
WHERE live >= coalesce(own.simultaneous, every.simultaneous)
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a worker claims: `limit` deliveries at once to a destination unless a row
    says otherwise (0: none), `batch` recipients at a time, for `owner`, who has so many `slots`
    (0: not told). `adaptive` lets what was learnt of the destination count too."""

    limit: int
    batch: int
    lease: timedelta
    owner: str
    slots: int = 0
    adaptive: bool = True


@dataclass(frozen=True, slots=True)
class _Room:
    """What one bucket and one count leave. `tokens` is None without a rate."""

    allowed: int | None
    live: int
    per_minute: int | None
    tokens: float | None

    def count(self, wanted: int) -> int:
        """How many recipients may be taken by one more delivery."""
        if self.allowed is not None and self.live >= self.allowed:
            return 0
        return self.within_rate(wanted)

    def within_rate(self, wanted: int) -> int:
        return wanted if self.tokens is None else min(wanted, int(self.tokens))


_ENDLESS = _Room(None, 0, None, None)


def claim_limited(transport: str, terms: Terms) -> Batch | None:
    """Due recipients of the destination with room that was served longest ago, or None."""
    busy: list[str] = []
    while True:
        values = {**_values(transport, terms), "busy": busy, "owner": terms.owner}
        rows = prepared.execute(_NEXT, {**values, "slots": terms.slots})
        if not rows:
            return None
        nexthop = str(rows[0][0])
        claimed = _claim_from(transport, nexthop, terms)
        if claimed is not None:
            return claimed
        busy.append(nexthop)


def claim_more(batch: Batch, terms: Terms) -> tuple[LeasedRecipient, ...]:
    """Further recipients under a lease that is held, for the session at hand."""
    with transaction.atomic(), connection.cursor() as cursor:
        rooms = _rooms(cursor, batch.transport, batch.nexthop, terms)
        # The lease counts itself; only a destination that may have none takes no more.
        if any(room.allowed is not None and room.live > room.allowed for room in rooms):
            return ()
        count = min(room.within_rate(terms.batch) for room in rooms)
        taken = _take(batch.transport, batch.nexthop, terms, count, batch.lease_id)
        if taken is None:
            return ()
        _charge(cursor, taken, rooms)
        return taken.recipients


def has_limits(transport: str, version: int) -> bool:
    """Whether any limit is set for a transport; asked once per policy version."""
    known = _limited.get(transport)
    if known is None or known[0] != version:
        known = (version, DeliveryLimit.objects.filter(transport=transport).exists())
        _limited[transport] = known
    return known[1]


_limited: dict[str, tuple[int, bool]] = {}


def _claim_from(transport: str, nexthop: str, terms: Terms) -> Batch | None:
    with transaction.atomic(), connection.cursor() as cursor:
        rooms = _rooms(cursor, transport, nexthop, terms)
        count = min(room.count(terms.batch) for room in rooms)
        batch = _take(transport, nexthop, terms, count)
        if batch is not None:
            _charge(cursor, batch, rooms)
        return batch


def _rooms(cursor: Any, transport: str, nexthop: str, terms: Terms) -> tuple[_Room, _Room]:
    """What the destination and the transport leave. The locks make looking and taking one."""
    values = _values(transport, terms)
    limited = prepared.execute(_LOOK_AT_TRANSPORT, {"transport": transport})
    names = ["*", nexthop] if limited else [nexthop]
    cursor.execute(_KNOWN, [transport, names])
    cursor.execute(_LOCK, [transport, names])
    allowed, live, per_minute, tokens, state = prepared.execute(
        _LOOK, {**values, "nexthop": nexthop}
    )[0]
    # A probe is one message: the others shall not spend their attempts on a dead host.
    probe = 1.0 if state == "down" else None
    room = _Room(allowed, live, per_minute, tokens if probe is None else min(tokens or 1.0, probe))
    if not limited:
        return room, _ENDLESS
    return room, _Room(*prepared.execute(_LOOK_AT_TRANSPORT, {"transport": transport})[0])


def _take(
    transport: str, nexthop: str, terms: Terms, count: int, lease_id: int | None = None
) -> Batch | None:
    if count < 1:
        return None
    full: list[str] = []
    mailboxes = DeliveryLimit.objects.filter(transport=transport, scope="mailbox")
    if mailboxes.exists():
        with connection.cursor() as cursor:
            cursor.execute(_FULL_MAILBOXES, {"transport": transport})
            full = [row[0] for row in cursor.fetchall()]
    return batch_of(
        transport,
        take_from(
            {
                "transport": transport,
                "nexthop": nexthop,
                "batch": count,
                "owner": terms.owner,
                "seconds": terms.lease.total_seconds(),
                "full": full,
                "lease": lease_id,
            }
        ),
    )


def _charge(cursor: Any, batch: Batch, rooms: tuple[_Room, _Room]) -> None:
    """A token is a message; a recipient too many in one message is not held against anybody."""
    messages = len({recipient.message_id for recipient in batch.recipients})
    for room, nexthop in zip(rooms, (batch.nexthop, "*"), strict=True):
        if room is not _ENDLESS:
            left = room.tokens - messages if room.per_minute and room.tokens is not None else None
            cursor.execute(_CHARGE, [left, batch.transport, nexthop])


def _values(transport: str, terms: Terms) -> dict[str, Any]:
    return {
        "transport": transport,
        "limit": terms.limit or None,
        "adaptive": terms.adaptive,
        "scope": "destination",
    }
