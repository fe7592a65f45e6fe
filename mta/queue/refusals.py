"""The mail that was refused, and what rules that only log would have refused."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from mta.models import Refusal, RefusedContent
from mta.queue.listing import fetch

# Site filters refuse by a rule of this name, a colon, and theirs.
SITE_FILTER = "site_filter"
DAY = timedelta(days=1)
WEEK = timedelta(days=7)

_HITS = """
SELECT stage, rule, enforced, count(*) FILTER (WHERE at >= %s), count(*)
FROM mta_refusal WHERE at >= %s GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class RefusalFilter:
    """What to list; what is empty or None narrows nothing. `enforced` False: only logged. `kept`:
    with their content. `filter_name` is that of a site filter; `text` is in the reply."""

    rule: str = ""
    stage: str = ""
    recipient: str = ""
    client_ip: str = ""
    enforced: bool | None = None
    kept: bool = False
    filter_name: str = ""
    text: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """How often a rule refused, and how often it would have but only logs."""

    day: int = 0
    week: int = 0
    logged_day: int = 0
    logged_week: int = 0


def refusals(
    limit: int = 50, before: int | None = None, wanted: RefusalFilter | None = None
) -> list[Refusal]:
    """Refused mail, newest first; `before` is the id of the last row of the page before."""
    wanted = wanted or RefusalFilter()
    rows = Refusal.objects.order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    for name in ("rule", "stage", "recipient", "client_ip"):
        if value := getattr(wanted, name):
            rows = rows.filter(**{name: value})
    if wanted.enforced is not None:
        rows = rows.filter(enforced=wanted.enforced)
    if wanted.kept:
        rows = rows.filter(content_id__in=RefusedContent.objects.values("id"))
    if wanted.filter_name:
        rows = rows.filter(rule=f"{SITE_FILTER}:{wanted.filter_name}")
    if wanted.text:
        rows = rows.filter(text__icontains=wanted.text)
    if wanted.since is not None:
        rows = rows.filter(at__gte=wanted.since)
    return list(rows[:limit])


def rule_hits() -> Mapping[tuple[str, str], Hits]:
    """(stage, rule) -> its hits of the last 24 hours and of 7 days; no hits for all others."""
    now = timezone.now()
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for stage, rule, enforced, day, week in fetch(_HITS, [now - DAY, now - WEEK]):
        prefix = "" if enforced else "logged_"
        counts[stage, rule] |= {f"{prefix}day": day, f"{prefix}week": week}
    return defaultdict(Hits, {key: Hits(**each) for key, each in counts.items()})
