"""What deliveries teach about their destination, and what people do to it.

A destination that cannot be reached is left alone as a whole until its next probe, which is one
message; those that wait meanwhile spend no attempts. Courier knows no such state: there every
message tries a dead host by itself. The times of an attempted recipient stay Courier's
(spec 4.2), since the pause between probes is never longer than `retryalpha`, its shortest.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection
from django.utils import timezone

from mta.models import Destination
from mta.queue.commit import storable

_FIRST_PAUSE = timedelta(minutes=1)
# Who waited for a destination that is back comes in so many groups, a second apart.
_GROUPS = 30


class Health(StrEnum):
    """What one batch showed: deliveries go on, the peer asks for fewer, or there is nobody."""

    OK = "ok"
    THROTTLED = "throttled"
    DOWN = "down"


# +1 while all of it is used, half of what was used when the peer complains, and a start from
# the beginning after a failure. Several sessions that fail together are one failure.
_LEARN = """
WITH old AS MATERIALIZED (
    SELECT d.*, (SELECT count(*) FROM mta_lease l WHERE l.transport = d.transport
                 AND l.nexthop = d.nexthop AND l.expires_at > now()) AS live,
           d.next_probe IS NULL OR d.next_probe <= now() AS counts
    FROM mta_destination d WHERE d.transport = %(transport)s AND d.nexthop = %(nexthop)s FOR UPDATE
)
UPDATE mta_destination d SET
    state = CASE WHEN old.state = 'paused' THEN old.state ELSE %(health)s END,
    changed_at = CASE WHEN old.state IN ('paused', %(health)s) THEN old.changed_at ELSE now() END,
    last_reply = CASE WHEN %(reply)s = '' THEN old.last_reply ELSE %(reply)s END,
    last_ok_at = CASE WHEN %(health)s = 'ok' THEN now() ELSE old.last_ok_at END,
    failures = CASE WHEN NOT %(pause)s THEN 0 WHEN old.counts THEN old.failures + 1
               ELSE old.failures END,
    next_probe = CASE WHEN NOT %(pause)s THEN NULL
        WHEN NOT old.counts THEN old.next_probe
        ELSE now() + least(%(first)s * pow(2, least(old.failures, 20)), %(longest)s) END,
    concurrency = CASE %(health)s
        WHEN 'ok' THEN old.concurrency + (old.live >= old.concurrency)::int
        WHEN 'throttled' THEN greatest(1, least(old.concurrency, old.live) / 2)
        ELSE 2 END
FROM old WHERE d.id = old.id
RETURNING old.state
"""

# Those whose attempt no peer ever answered were deferred because of the destination alone.
_RELEASE = """
UPDATE mta_recipient SET next_attempt = now() + (id %% %(groups)s) * interval '1 second'
WHERE transport = %(transport)s AND nexthop = %(nexthop)s AND state = 'queued'
  AND attempts > 0 AND last_command = '' AND next_attempt > now() + %(groups)s * interval '1 second'
"""


def learn(
    transport: str,
    nexthop: str,
    health: Health,
    *,
    reply: str = "",
    pause: bool = False,
    longest: timedelta = timedelta(minutes=5),
) -> None:
    """Note what a batch showed. With `pause` the destination is left alone until its next probe,
    a minute after the first failure and `longest` later at most."""
    values: dict[str, Any] = {
        "transport": transport,
        "nexthop": nexthop,
        "health": health.value,
        "reply": storable(reply),
        "pause": pause,
        "first": min(_FIRST_PAUSE, longest),
        "longest": longest,
        "groups": _GROUPS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEARN, values)
        before = cursor.fetchone()
        if before is not None and before[0] == Destination.State.DOWN and health is Health.OK:
            cursor.execute(_RELEASE, values)


def pause(transport: str, nexthop: str) -> None:
    """Nothing is claimed for it until somebody resumes it; what is under way is finished."""
    Destination.objects.update_or_create(
        transport=transport,
        nexthop=nexthop,
        defaults={"state": Destination.State.PAUSED, "changed_at": timezone.now()},
    )


def resume(transport: str, nexthop: str) -> bool:
    """End a pause; False when it was not paused."""
    changed = Destination.objects.filter(
        transport=transport, nexthop=nexthop, state=Destination.State.PAUSED
    ).update(state=Destination.State.OK, next_probe=None, failures=0, changed_at=timezone.now())
    return bool(changed)


def probe_now(transport: str, nexthop: str) -> bool:
    """Let its next message go at once; False when it was waiting for no probe."""
    waiting = Destination.objects.filter(
        transport=transport, nexthop=nexthop, next_probe__isnull=False
    )
    if not waiting.update(next_probe=timezone.now()):
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mta_recipient SET next_attempt = now() WHERE id = (SELECT id FROM mta_recipient"
            " WHERE transport = %s AND nexthop = %s AND state = 'queued'"
            " ORDER BY next_attempt LIMIT 1) AND next_attempt > now()",
            [transport, nexthop],
        )
    return True


def probe_all() -> int:
    """`probe_now` for whatever waits for a probe: somebody asked for mail to be tried now."""
    return Destination.objects.filter(next_probe__gt=timezone.now()).update(
        next_probe=timezone.now()
    )


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """A destination with its mail. `rate` is what its limit says, messages a minute."""

    transport: str
    nexthop: str
    state: str
    waiting: int
    active: int
    concurrency: int
    simultaneous: int | None
    rate: int | None
    failures: int
    next_probe: datetime | None
    changed_at: datetime | None
    last_ok_at: datetime | None
    last_reply: str


_LIST = """
WITH waiting AS (
    SELECT transport, nexthop, count(*) AS count FROM mta_recipient
    WHERE state = 'queued' AND nexthop <> '' GROUP BY 1, 2
), active AS (
    SELECT transport, nexthop, count(*) AS count FROM mta_lease
    WHERE expires_at > now() AND nexthop <> '' GROUP BY 1, 2
), hop AS (
    SELECT transport, nexthop FROM mta_destination WHERE nexthop NOT IN ('*', '')
    UNION SELECT transport, nexthop FROM waiting
)
SELECT hop.transport, hop.nexthop, coalesce(d.state, 'ok'), coalesce(waiting.count, 0),
    coalesce(active.count, 0), coalesce(d.concurrency, 2),
    coalesce(own.simultaneous, every.simultaneous),
    coalesce(own.per_minute, every.per_minute), coalesce(d.failures, 0), d.next_probe,
    d.changed_at, d.last_ok_at, coalesce(d.last_reply, '')
FROM hop
LEFT JOIN mta_destination d USING (transport, nexthop)
LEFT JOIN waiting USING (transport, nexthop)
LEFT JOIN active USING (transport, nexthop)
LEFT JOIN mta_deliverylimit own ON own.transport = hop.transport
    AND own.scope = 'destination' AND own.nexthop = hop.nexthop
LEFT JOIN mta_deliverylimit every ON every.transport = hop.transport
    AND every.scope = 'destination' AND every.nexthop = '*'
WHERE (%(name)s = '' OR hop.nexthop = ANY(%(names)s)) AND (%(state)s = '' OR d.state = %(state)s)
ORDER BY coalesce(d.state, 'ok') = 'ok', waiting.count DESC NULLS LAST, hop.nexthop
LIMIT %(count)s
"""


def listing(*, name: str = "", state: str = "", count: int = 500) -> list[DestinationRow]:
    """Destinations, those in trouble first, then by how much waits. `name` is a next hop or the
    domain of one ("example.org" for "mx:example.org")."""
    values: dict[str, Any] = {
        "name": name,
        "names": [name, f"mx:{name}"],
        "state": state,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LIST, values)
        return [DestinationRow(*row) for row in cursor.fetchall()]
