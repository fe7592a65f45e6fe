"""Step 5, taking work within limits: who may be served next, judged in the claiming SQL.

Everything is counted in the database under the lock of the destination's row (`mta.queue.room`),
so the limits hold over any number of workers on any hosts. Among the destinations with room the
one served longest ago comes first, so that a million recipients of one destination do not stand
before the one recipient of another.

To see who has room is a walk over all destinations that have mail. What many threads of a process
ask for at the same moment is therefore answered by one walk and one transaction (`claim_all`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from mta.models import DeliveryLimit
from mta.queue import lease, prepared, room
from mta.queue.lease import DUE_HOPS, Batch, LeasedRecipient, Want
from mta.queue.room import ROOM, Terms

# Destinations that never took anything may be dead, and each then holds its slots for as long as
# a connection may take: a quarter of a worker's slots is kept for those that are known to work.
_NEXT = (
    DUE_HOPS
    + f"""
, room AS ({ROOM.format(hops="overdue", at="h.at")}
    WHERE h.at <= now() AND h.nexthop <> ALL(%(busy)s::text[])
), unproven AS (
    SELECT count(*) AS live FROM mta_lease l
    LEFT JOIN mta_destination d ON d.transport = l.transport AND d.nexthop = l.nexthop
    WHERE l.owner = %(owner)s::text AND l.expires_at > now()
      AND (d.last_ok_at IS NULL OR d.state = 'down')
), ranked AS (
    SELECT nexthop, served_at, at, proven,
        count(*) FILTER (WHERE NOT proven)
            OVER (ORDER BY served_at NULLS FIRST, at, nexthop) AS rank
    FROM room WHERE coalesce(live < allowed, true) AND coalesce(tokens >= 1, true)
)
SELECT nexthop FROM ranked
WHERE proven OR %(slots)s::int4 = 0
   OR (SELECT live FROM unproven) + rank <= ceil(%(slots)s::int4 * 0.75)
ORDER BY served_at NULLS FIRST, at, nexthop LIMIT %(count)s::int8
"""
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What one thread wants: a batch of whichever destination is next, or, for the session that
    holds a batch, more of the same."""

    transport: str
    terms: Terms
    held: Batch | None = None


def claim_limited(transport: str, terms: Terms) -> Batch | None:
    """Due recipients of the destination with room that was served longest ago, or None."""
    return claim_all([Ask(transport, terms)])[0]


def claim_more(batch: Batch, terms: Terms) -> tuple[LeasedRecipient, ...]:
    """Further recipients under a lease that is held, for the session at hand."""
    taken = claim_all([Ask(batch.transport, terms, batch)])[0]
    return taken.recipients if taken else ()


def claim_all(asks: Sequence[Ask]) -> list[Batch | None]:
    """A batch for each, None where there is nothing for it. Those of one transport have the same
    terms, since they are of one worker."""
    answers: list[Batch | None] = [None] * len(asks)
    for transport in dict.fromkeys(ask.transport for ask in asks):
        numbered = {n: ask for n, ask in enumerate(asks) if ask.transport == transport}
        for number, batch in _serve(transport, numbered).items():
            answers[number] = batch
    return answers


def has_limits(transport: str, version: int) -> bool:
    """Whether any limit is set for a transport; asked once per policy version."""
    known = _limited.get(transport)
    if known is None or known[0] != version:
        known = (version, DeliveryLimit.objects.filter(transport=transport).exists())
        _limited[transport] = known
    return known[1]


_limited: dict[str, tuple[int, bool]] = {}


def _serve(transport: str, asks: Mapping[int, Ask]) -> dict[int, Batch]:
    """Batches by the number of their ask. In each round a destination is asked once: what it
    leaves for a second one depends on what the first one got."""
    terms = next(iter(asks.values())).terms
    going_on = {number: ask.held for number, ask in asks.items() if ask.held}
    new = [number for number, ask in asks.items() if not ask.held]
    served: dict[int, Batch] = {}
    busy: list[str] = []
    while going_on or new:
        chosen: dict[str, int] = {}
        for number, held in going_on.items():
            chosen.setdefault(held.nexthop, number)
        hops = _next(transport, terms, [*busy, *chosen], len(new)) if new else []
        if not hops and not chosen:
            break
        chosen |= dict(zip(hops, new, strict=False))
        tried = _take(transport, terms, {hop: asks[number] for hop, number in chosen.items()})
        taken = {hop: batch for hop, batch in tried.items() if batch}
        served |= {chosen[hop]: batch for hop, batch in taken.items()}
        # What was not tried was set aside for others, who may have left some of it.
        busy += [hop for hop in hops if hop not in taken and (hop in tried or not taken)]
        new = [number for number in new if number not in served]
        going_on = {n: held for n, held in going_on.items() if n not in chosen.values()}
    return served


def _next(transport: str, terms: Terms, busy: Sequence[str], count: int) -> list[str]:
    values = {"busy": list(busy), "owner": terms.owner, "slots": terms.slots, "count": count}
    return [row[0] for row in prepared.execute(_NEXT, {**terms.values(transport), **values})]


def _take(transport: str, terms: Terms, asks: Mapping[str, Ask]) -> dict[str, Batch | None]:
    """What these destinations have and may give, by next hop; those without room are not there.

    Nobody waits for the disk: when the database crashes in the moment before a claim is safe there,
    its recipients are due again, as they are for any worker that is gone.
    """
    room.make_known(transport, list(asks))
    with transaction.atomic():
        prepared.relax()
        rooms = room.look(transport, list(asks), terms)
        wants: list[Want] = []
        for hop, ask in asks.items():
            count = rooms.admit(hop, terms.batch, held=bool(ask.held))
            if count:
                wants.append(Want(hop, count, ask.held.lease_id if ask.held else None))
        if not wants:
            return {}
        taken = lease.take_from(
            transport,
            wants,
            owner=terms.owner,
            seconds=terms.lease.total_seconds(),
            full=rooms.full,
        )
        for hop, batch in taken.items():
            messages = {recipient.message_id for recipient in batch.recipients}
            rooms.charge(hop, len(messages), held=bool(asks[hop].held))
        rooms.save()
        return {want.nexthop: taken.get(want.nexthop) for want in wants}
