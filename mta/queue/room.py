"""Step 5, limits: what the settings, the limits and the state of a destination leave for it.

A destination has room while it is neither paused nor waiting for its probe, has fewer live leases
than its concurrency and its limits allow, and its rate has tokens left. A bucket holds ten
seconds' worth: so much may go at once after a silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection

from mta.models import DeliveryLimit
from mta.queue import prepared

# What is left of one next hop; `{hops}` are those that are asked about.
ROOM = """
    SELECT h.nexthop, {at} AS at,
        CASE WHEN d.state = 'paused' OR d.next_probe > now() THEN 0
             WHEN d.state = 'down' THEN 1
             ELSE least(
                CASE WHEN %(adaptive)s::bool THEN coalesce(d.concurrency, 2) END,
                coalesce(own.simultaneous, every.simultaneous, %(limit)s::int4)) END AS allowed,
        coalesce(leases.live, 0) AS live,
        rate.per_minute,
        CASE WHEN rate.per_minute > 0 THEN least(greatest(1, rate.per_minute * 10 / 60.0),
              coalesce(d.tokens, 'infinity') + rate.per_minute / 60.0
              * coalesce(extract(epoch FROM now() - d.tokens_at), 0)) END AS tokens,
        d.served_at, d.state,
        d.last_ok_at IS NOT NULL AND d.state IN ('ok', 'throttled') AS proven
    FROM {hops} h
    LEFT JOIN mta_destination d ON d.transport = %(transport)s::text AND d.nexthop = h.nexthop
    LEFT JOIN (SELECT nexthop, count(*) AS live FROM mta_lease
               WHERE transport = %(transport)s::text AND expires_at > now() GROUP BY nexthop
              ) leases ON leases.nexthop = h.nexthop
    LEFT JOIN mta_deliverylimit own ON own.transport = %(transport)s::text
        AND own.scope = 'destination' AND own.nexthop = h.nexthop
    LEFT JOIN mta_deliverylimit every ON every.transport = %(transport)s::text
        AND every.scope = 'destination' AND every.nexthop = '*'
    CROSS JOIN LATERAL (SELECT coalesce(own.per_minute, every.per_minute) AS per_minute) rate
"""

_LOOK = f"""
WITH hop AS (SELECT unnest(%(nexthops)s::text[]) AS nexthop),
room AS ({ROOM.format(hops="hop", at="NULL")})
SELECT nexthop, allowed, live, per_minute, tokens, state = 'down' FROM room
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

# A statement of its own, in the order of the names: who locks some rows and makes others could wait
# for one who does the same.
_KNOWN = """
INSERT INTO mta_destination (transport, nexthop, changed_at)
SELECT %(transport)s::text, hop, now() FROM unnest(%(nexthops)s::text[]) AS hop
WHERE NOT EXISTS (SELECT 1 FROM mta_destination
                  WHERE transport = %(transport)s::text AND nexthop = hop)
ORDER BY hop ON CONFLICT (transport, nexthop) DO NOTHING
"""

# The transport's own row ("*") is locked first, by everybody.
_LOCK = """
SELECT nexthop FROM mta_destination
WHERE transport = %(transport)s::text AND nexthop = ANY(%(nexthops)s::text[])
ORDER BY nexthop <> '*', nexthop FOR UPDATE
"""

_CHARGE = """
UPDATE mta_destination d SET served_at = now(), tokens = given.tokens, tokens_at = now()
FROM unnest(%(nexthops)s::text[], %(tokens)s::float8[]) AS given(nexthop, tokens)
WHERE d.transport = %(transport)s::text AND d.nexthop = given.nexthop
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

    def values(self, transport: str) -> dict[str, Any]:
        return {"transport": transport, "limit": self.limit or None, "adaptive": self.adaptive}


@dataclass(slots=True)
class Room:
    """What a count and a bucket leave, and less with each delivery that is let in. `allowed` is
    None without a limit, `tokens` without a rate. A destination that is down gets one message, a
    probe: the others shall not spend their attempts on a dead host."""

    allowed: int | None = None
    live: int = 0
    per_minute: int | None = None
    tokens: float | None = None
    is_down: bool = False

    def admit(self, wanted: int, *, held: bool) -> int:
        """How many recipients one more delivery may take, or one that is `held` and counts
        already; only a destination that may have none keeps that from going on."""
        live = self.live - held
        if self.allowed is not None and live >= self.allowed:
            return 0
        wanted = min(wanted, 1) if self.is_down else wanted
        return wanted if self.tokens is None else min(wanted, max(0, int(self.tokens)))

    def charge(self, messages: int, *, held: bool) -> None:
        self.live += not held
        if self.tokens is not None:
            self.tokens -= messages


@dataclass(slots=True)
class Rooms:
    """Of a transport and some of its destinations, locked until the end of the transaction, which
    makes looking and taking one."""

    transport: str
    whole: Room | None
    each: Mapping[str, Room]
    full: Sequence[str]
    _admitted: dict[str, int] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def admit(self, nexthop: str, wanted: int, *, held: bool) -> int:
        """How many recipients of it may be taken; the transport's share is set aside for it."""
        count = self.each[nexthop].admit(wanted, held=held)
        if self.whole and count:
            count = self.whole.admit(count, held=held)
            self.whole.charge(count, held=held)
            self._admitted[nexthop] = count
        return count

    def charge(self, nexthop: str, messages: int, *, held: bool) -> None:
        """A token is a message; a recipient too many in one message is not held against anybody."""
        self._used.add(nexthop)
        self.each[nexthop].charge(messages, held=held)
        if self.whole:
            self._used.add("*")
            self._admitted[nexthop] -= messages

    def save(self) -> None:
        """Write what was used; what was set aside in vain is given back."""
        if self.whole and self.whole.tokens is not None:
            self.whole.tokens += sum(self._admitted.values())
        rooms = {**self.each, **({"*": self.whole} if self.whole else {})}
        names = sorted(self._used)
        values = {
            "transport": self.transport,
            "nexthops": names,
            "tokens": [rooms[name].tokens for name in names],
        }
        if names:
            prepared.execute(_CHARGE, values)


def make_known(transport: str, nexthops: Sequence[str]) -> None:
    """Give each destination, and the transport as a whole, a row that can be locked."""
    prepared.execute(_KNOWN, {"transport": transport, "nexthops": ["*", *nexthops]})


def look(transport: str, nexthops: Sequence[str], terms: Terms) -> Rooms:
    """Lock these destinations, which are known, and see what they leave; to be called inside a
    transaction."""
    scopes = set(DeliveryLimit.objects.filter(transport=transport).values_list("scope", flat=True))
    limited = DeliveryLimit.Scope.TRANSPORT in scopes
    values = {"transport": transport, "nexthops": ["*", *nexthops] if limited else [*nexthops]}
    prepared.execute(_LOCK, values)
    rows = prepared.execute(_LOOK, {**terms.values(transport), "nexthops": [*nexthops]})
    whole = prepared.execute(_LOOK_AT_TRANSPORT, {"transport": transport}) if limited else []
    return Rooms(
        transport,
        Room(*whole[0]) if whole else None,
        {nexthop: Room(*row) for nexthop, *row in rows},
        _full_mailboxes(transport) if DeliveryLimit.Scope.MAILBOX in scopes else (),
    )


def _full_mailboxes(transport: str) -> Sequence[str]:
    with connection.cursor() as cursor:
        cursor.execute(_FULL_MAILBOXES, {"transport": transport})
        return [row[0] for row in cursor.fetchall()]
