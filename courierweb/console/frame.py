"""What every page of the console shows around its content: name, warnings, counts."""

from typing import Any

from django.conf import settings
from django.db.models import F, Min
from django.http import HttpRequest

from mta.models import AccessRule, Message, Recipient
from mta.models.message import LIVE_STATES

# The badge in the navigation stops counting here, so that it costs the same on any queue.
BADGE_LIMIT = 1000


def hostname(request: HttpRequest) -> str:
    return settings.ENVIRONMENT.hostname


def context(request: HttpRequest) -> dict[str, Any]:
    """Template variables of all pages; nothing is looked up for a stranger."""
    if not request.user.is_staff:
        return {}
    return {"wide_relays": wide_relays()}


def wide_relays() -> list[AccessRule]:
    """The rules that let a very large part of the Internet relay through us."""
    return [rule for rule in AccessRule.objects.filter(relay=True) if rule.is_wide_relay]


def live(request: HttpRequest) -> str:
    """The number of recipients in the queue, for the navigation."""
    rows = Recipient.objects.filter(state__in=LIVE_STATES).values("id")[: BADGE_LIMIT + 1]
    count = len(rows)
    return f"{BADGE_LIMIT}+" if count > BADGE_LIMIT else str(count)


def oldest_live() -> Message | None:
    """The message that has been in the queue longest.

    Ids ascend with time. The sum keeps the planner from walking the index of all recipients,
    finished ones too, in search of the first live one.
    """
    live = Recipient.objects.filter(state__in=LIVE_STATES)
    message_id = live.aggregate(first=Min(F("message_id") + 0))["first"]
    return Message.objects.filter(pk=message_id).first() if message_id is not None else None
