"""The reading door to the queue and its history, for the console and the commands.

Nothing here changes anything; `mta.queue.control` does.
"""

from mta.queue.listing import (
    QueuedMessage,
    QueueFilter,
    QueueGroup,
    QueueRow,
    RecipientRow,
    content_head,
    live_count,
    oldest_live,
    queue_counts,
    queue_groups,
    queue_page,
    queued_messages,
)
from mta.queue.refusals import Hits, RefusalFilter, refusals, rule_hits
from mta.queue.search import Hit, search
from mta.queue.statistics import KINDS, ChartPoint, chart, totals
from mta.queue.timeline import (
    MessageSummary,
    TimelineEntry,
    decision_entry,
    message_summary,
    timeline,
)

__all__ = [
    "KINDS",
    "ChartPoint",
    "Hit",
    "Hits",
    "MessageSummary",
    "QueueFilter",
    "QueueGroup",
    "QueueRow",
    "QueuedMessage",
    "RecipientRow",
    "RefusalFilter",
    "TimelineEntry",
    "chart",
    "content_head",
    "decision_entry",
    "live_count",
    "message_summary",
    "oldest_live",
    "queue_counts",
    "queue_groups",
    "queue_page",
    "queued_messages",
    "refusals",
    "rule_hits",
    "search",
    "timeline",
    "totals",
]
