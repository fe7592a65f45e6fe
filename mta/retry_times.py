"""When a recipient will be tried: Courier's formula asked in advance, for people."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from mta import runtime
from mta.models import State
from mta.protocol import address as addresses
from mta.queue.destinations import next_probes
from mta.queue.listing import RecipientRow, recipients_of
from mta.scheduler.backoff import Backoff

MOST = 30


@dataclass(frozen=True, slots=True)
class Forecast:
    """One recipient that waits. `attempts` are behind it, `times` are the next ones should each
    fail; `complete` says that the last of them ends in its failure."""

    address: str
    state: str
    transport: str
    nexthop: str
    attempts: int
    expires_at: datetime
    times: tuple[datetime, ...]

    @property
    def complete(self) -> bool:
        return self.times[-1] >= self.expires_at


def of_message(message_id: int, most: int = MOST) -> list[Forecast]:
    """That of each live recipient; a held one is told as if it were released now."""
    runtime.directory().refresh()
    rows = recipients_of([message_id]).get(message_id, [])
    waiting = [row for row in rows if row.state in _WAITING]
    probes = next_probes((row.transport, row.nexthop) for row in waiting)
    return [_of_row(row, most, probes.get((row.transport, row.nexthop))) for row in waiting]


def of_address(address: str, most: int = MOST) -> Forecast:
    """That of a message to the address if it came now, from a sender who has no routes of its own.
    Raises AddressError."""
    address = addresses.parse(address)
    policy = runtime.directory().refresh()
    transport, nexthop = runtime.route(address, "") or ("", "")
    times = policy.times_for(transport, address)
    now = timezone.now()
    expires_at = now + times.queuetime
    tries = Backoff.of(times).forecast(0, now + times.submitdelay, expires_at, most)
    return Forecast(address, "", transport, nexthop, 0, expires_at, tuple(tries))


_WAITING = (State.QUEUED, State.HELD, State.DELIVERING)


def _of_row(row: RecipientRow, most: int, probe: datetime | None) -> Forecast:
    policy = runtime.directory().policy
    backoff = Backoff.of(policy.times_for(row.transport, row.address))
    now = timezone.now()
    if row.state == State.DELIVERING:
        # The attempt under way is counted already; the next one follows its failure.
        first = now + backoff.delay(row.attempts)
    else:
        # A destination that is down is left alone until its probe.
        first = max(row.next_attempt, now, probe or now)
    tries = backoff.forecast(row.attempts, first, row.expires_at, most)
    return Forecast(
        row.address,
        row.state,
        row.transport,
        row.nexthop,
        row.attempts,
        row.expires_at,
        tuple(tries),
    )
