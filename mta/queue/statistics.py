"""The counts behind the charts and /metrics.

Counts are rolled up per minute (`mta.queue.retention`); what is not rolled up yet still lies in
Tally, so every reader adds both. Kinds: accepted, refused, delivered, relayed, deferred,
bounced, expired, discarded, cancelled.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from mta.queue.listing import fetch

KINDS = (
    "accepted",
    "refused",
    "delivered",
    "relayed",
    "deferred",
    "bounced",
    "expired",
    "discarded",
    "cancelled",
)
CHART_STEP = timedelta(minutes=15)

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_COUNTS = """
SELECT date_bin(%s, at, %s), kind, sum(count)::bigint FROM (
    SELECT minute AS at, kind, count FROM mta_statistic WHERE minute >= %s
    UNION ALL
    SELECT at, kind, count FROM mta_tally WHERE at >= %s
) counted GROUP BY 1, 2
"""
_TOTALS = """
SELECT kind, sum(count)::bigint FROM (
    SELECT kind, count FROM mta_statistic UNION ALL SELECT kind, count FROM mta_tally
) counted GROUP BY kind
"""


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """The counts of the 15 minutes that begin at `at`, with every kind of KINDS."""

    at: datetime
    counts: dict[str, int]


def chart(since: datetime) -> list[ChartPoint]:
    """One point for every quarter of an hour from the one that holds `since` until now."""
    first = _EPOCH + (since - _EPOCH) // CHART_STEP * CHART_STEP
    points: dict[datetime, dict[str, int]] = {}
    at, now = first, timezone.now()
    while at <= now:
        points[at] = dict.fromkeys(KINDS, 0)
        at += CHART_STEP
    for step, kind, count in fetch(_COUNTS, [CHART_STEP, _EPOCH, first, first]):
        if step in points:
            points[step][kind] = count
    return [ChartPoint(at, counts) for at, counts in points.items()]


def totals() -> dict[str, int]:
    """Everything ever counted (while statistics are kept), by kind; every kind is there."""
    counts = dict.fromkeys(KINDS, 0)
    counts.update(fetch(_TOTALS))
    return counts
