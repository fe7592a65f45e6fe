"""Step 7: what became of TLS with other hosts, counted for each destination and day.

Written after the outcomes, as a hint: without it mail goes on all the same.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from mta.models import TlsTally
from mta.protocol.tls_result import PolicyType, TlsResult
from mta.queue import prepared
from mta.queue.commit import storable
from mta.queue.listing import fetch

# The rows are taken in one order by everybody, so that two workers never wait for each other.
_ADD = """
INSERT INTO mta_tlstally AS t (day, domain, mx_host, policy, word, count, detail, last_at)
SELECT (now() AT TIME ZONE 'UTC')::date, g.domain, g.mx_host, g.policy, g.word, g.count, g.detail,
    now()
FROM json_to_recordset(%(given)s::json) AS g(
    domain text, mx_host text, policy text, word text, count int8, detail text)
ORDER BY g.domain, g.mx_host, g.policy, g.word
ON CONFLICT (domain, day, mx_host, policy, word) DO UPDATE SET
    count = t.count + excluded.count, detail = excluded.detail, last_at = excluded.last_at
"""

_DESTINATIONS = """
SELECT domain,
    coalesce(sum(count) FILTER (WHERE word = 'success'), 0)::bigint AS good,
    coalesce(sum(count) FILTER (WHERE word <> 'success'), 0)::bigint AS failed,
    (array_agg(policy ORDER BY last_at DESC) FILTER (WHERE word = 'success'))[1],
    (array_agg(word ORDER BY last_at DESC) FILTER (WHERE word <> 'success'))[1],
    (array_agg(detail ORDER BY last_at DESC) FILTER (WHERE word <> 'success'))[1],
    max(last_at) FILTER (WHERE word <> 'success'),
    max(last_at) FILTER (WHERE word = 'success')
FROM mta_tlstally
WHERE last_at >= %s AND (%s = '' OR domain = %s)
GROUP BY domain
HAVING NOT %s OR count(*) FILTER (WHERE word <> 'success') > 0
ORDER BY max(last_at) FILTER (WHERE word <> 'success') DESC NULLS LAST, domain
LIMIT %s
"""

MAX_NAME = 255
WINDOW = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Destination:
    """A domain over a window of time. `secured_by` is what the last good session was asked for by,
    "" when there was none; the failure is the last one, "" and None when there was none."""

    domain: str
    good: int
    failed: int
    secured_by: str
    word: str
    detail: str
    failed_at: datetime | None
    good_at: datetime | None

    @property
    def protection(self) -> str:
        """In words, for people."""
        return PROTECTIONS.get(self.secured_by, "not secured")

    @property
    def failing(self) -> bool:
        """Whether the last that was heard is a failure."""
        if self.failed_at is None:
            return False
        return self.good_at is None or self.failed_at > self.good_at


PROTECTIONS: dict[str, str] = {
    PolicyType.TLSA: "DANE",
    PolicyType.STS: "MTA-STS",
    PolicyType.ROUTE: "route",
    PolicyType.REQUIRETLS: "REQUIRETLS",
    PolicyType.NONE: "opportunistic TLS",
}


def add(results: Iterable[TlsResult]) -> None:
    """Count these. Raises DatabaseError."""
    counted: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in results:
        names = storable(each.domain)[:MAX_NAME], storable(each.mx_host)[:MAX_NAME]
        key = (*names, each.policy, each.word)
        row = counted.setdefault(key, {"count": 0})
        row["count"] += 1
        row["detail"] = storable(each.detail)
    given = [
        {"domain": domain, "mx_host": mx_host, "policy": policy, "word": word, **row}
        for (domain, mx_host, policy, word), row in counted.items()
    ]
    if given:
        prepared.execute(_ADD, {"given": json.dumps(given)})


def destinations(
    domain: str = "",
    *,
    failed_only: bool = False,
    window: timedelta = WINDOW,
    limit: int = 200,
) -> list[Destination]:
    """Those heard of within the window, those that failed last first; or only `domain`."""
    name = domain.lower()
    rows = fetch(_DESTINATIONS, [timezone.now() - window, name, name, failed_only, limit])
    return [
        Destination(name, good, failed, policy or "", word or "", detail or "", failed_at, good_at)
        for name, good, failed, policy, word, detail, failed_at, good_at in rows
    ]


def tallies(domain: str, limit: int = 200) -> Sequence[TlsTally]:
    """Every count that is kept of a domain, the newest first."""
    return list(TlsTally.objects.filter(domain=domain.lower()).order_by("-last_at", "id")[:limit])
