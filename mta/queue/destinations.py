"""What deliveries teach about their destination, and what people do to it.

A destination that cannot be reached is left alone as a whole until its next probe, which is one
message; those that wait meanwhile spend no attempts. Courier knows no such state: there every
message tries a dead host by itself. The times of an attempted recipient stay Courier's
(spec 4.2), since the pause between probes is never longer than `retryalpha`, its shortest.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from mta.models import Destination
from mta.queue import prepared
from mta.queue.commit import storable
from mta.queue.prepared import relax

_FIRST_PAUSE = timedelta(minutes=1)
# Who waited for a destination that is back comes in so many groups, a second apart.
_GROUPS = 30


class Health(StrEnum):
    """What one batch showed: deliveries go on, the peer asks for fewer, or there is nobody."""

    OK = "ok"
    THROTTLED = "throttled"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a batch showed of its destination. With `pause` it is left alone until its next probe,
    a minute after the first failure and `longest` later at most."""

    transport: str
    nexthop: str
    health: Health
    reply: str = ""
    pause: bool = False
    longest: timedelta = timedelta(minutes=5)


# +1 while all of it is used, half of what was used when the peer complains, and a start from
# the beginning after a failure. Several sessions that fail together are one failure. The rows are
# taken in the order in which claims take them.
_LEARN = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(lessons)s::json) AS t(
        transport text, nexthop text, health text, reply text, pause bool, first float8,
        longest float8)
), old AS MATERIALIZED (
    SELECT d.*, d.next_probe IS NULL OR d.next_probe <= now() AS counts, given.health,
           given.reply, given.pause, given.first * interval '1 second' AS first,
           given.longest * interval '1 second' AS longest
    FROM given JOIN mta_destination d USING (transport, nexthop)
    ORDER BY d.transport, d.nexthop FOR UPDATE OF d
), seen AS MATERIALIZED (
    SELECT old.*, (SELECT count(*) FROM mta_lease l WHERE l.transport = old.transport
                   AND l.nexthop = old.nexthop AND l.expires_at > now()) AS live
    FROM old
)
UPDATE mta_destination d SET
    state = CASE WHEN seen.state = 'paused' THEN seen.state ELSE health END,
    changed_at = CASE WHEN seen.state IN ('paused', health) THEN seen.changed_at ELSE now() END,
    last_reply = CASE WHEN reply = '' THEN seen.last_reply ELSE reply END,
    last_ok_at = CASE WHEN health = 'ok' THEN now() ELSE seen.last_ok_at END,
    failures = CASE WHEN NOT pause THEN 0 WHEN seen.counts THEN seen.failures + 1
               ELSE seen.failures END,
    next_probe = CASE WHEN NOT pause THEN NULL
        WHEN NOT seen.counts THEN seen.next_probe
        ELSE now() + least(first * pow(2, least(seen.failures, 20)), longest) END,
    concurrency = CASE health
        WHEN 'ok' THEN seen.concurrency + (live >= seen.concurrency)::int
        WHEN 'throttled' THEN greatest(1, least(seen.concurrency, live) / 2)
        ELSE 2 END
FROM seen WHERE d.id = seen.id
RETURNING d.transport, d.nexthop, seen.state = 'down' AND health = 'ok'
"""

# Those whose attempt no peer ever answered were deferred because of the destination alone.
_RELEASE = """
UPDATE mta_recipient SET next_attempt = now() + (id %% %(groups)s) * interval '1 second'
WHERE transport = %(transport)s AND nexthop = %(nexthop)s AND state = 'queued'
  AND attempts > 0 AND last_command = '' AND next_attempt > now() + %(groups)s * interval '1 second'
"""


def learn_all(lessons: Iterable[Lesson]) -> None:
    """Note these, in their order. Nobody waits for the disk: what a crash forgets is learnt
    again."""
    waiting = list(lessons)
    while waiting:
        # One statement changes a row once, and two lessons on one destination are two steps.
        first: dict[tuple[str, str], Lesson] = {}
        later: list[Lesson] = []
        for lesson in waiting:
            if first.setdefault((lesson.transport, lesson.nexthop), lesson) is not lesson:
                later.append(lesson)
        with transaction.atomic():
            relax()
            _learn(first.values())
        waiting = later


def _learn(lessons: Iterable[Lesson]) -> None:
    given = json.dumps([_values(lesson) for lesson in lessons])
    for transport, nexthop, is_back in prepared.execute(_LEARN, {"lessons": given}):
        if is_back:
            values = {"transport": transport, "nexthop": nexthop, "groups": _GROUPS}
            with connection.cursor() as cursor:
                cursor.execute(_RELEASE, values)


def _values(lesson: Lesson) -> dict[str, Any]:
    return {
        "transport": lesson.transport,
        "nexthop": lesson.nexthop,
        "health": lesson.health.value,
        "reply": storable(lesson.reply),
        "pause": lesson.pause,
        "first": min(_FIRST_PAUSE, lesson.longest).total_seconds(),
        "longest": lesson.longest.total_seconds(),
    }


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


def next_probes(hops: Iterable[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
    """Until when those of these (transport, next hop) are left alone that are."""
    wanted = set(hops)
    rows = Destination.objects.filter(
        transport__in={transport for transport, _ in wanted},
        nexthop__in={nexthop for _, nexthop in wanted},
        next_probe__gt=timezone.now(),
    ).values_list("transport", "nexthop", "next_probe")
    return {(transport, nexthop): at for transport, nexthop, at in rows if at is not None}


# What somebody has paused or limited stays, and so does what mail waits for. The row of the
# transport as a whole is no destination.
_FORGET = """
WITH gone AS (
    DELETE FROM mta_destination WHERE id IN (
        SELECT d.id FROM mta_destination d
        WHERE d.nexthop <> '*' AND d.state <> 'paused'
          AND greatest(d.served_at, d.changed_at, d.last_ok_at) < %s
          AND NOT EXISTS (SELECT 1 FROM mta_recipient r WHERE r.transport = d.transport
                          AND r.nexthop = d.nexthop AND r.state = 'queued')
          AND NOT EXISTS (SELECT 1 FROM mta_lease l WHERE l.transport = d.transport
                          AND l.nexthop = d.nexthop)
          AND NOT EXISTS (SELECT 1 FROM mta_deliverylimit l WHERE l.transport = d.transport
                          AND l.scope = 'destination' AND l.nexthop = d.nexthop)
        LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
)
SELECT count(*) FROM gone
"""
_FORGET_AT_ONCE = 2000


def forget(before: datetime) -> int:
    """Delete what is known of destinations that got no mail since then; gives how many. One that
    was down by then is as good as unknown. Looks at all of them: for now and then."""
    deleted = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [before, _FORGET_AT_ONCE])
            (count,) = cursor.fetchone()
        deleted += int(count)
        if count < _FORGET_AT_ONCE:
            return deleted


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
