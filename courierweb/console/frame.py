"""What every page of the console shows around its content: name, warnings, counts."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from mta.models import AccessRule
from mta.queue import history

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
    count = history.live_count(BADGE_LIMIT)
    return f"{BADGE_LIMIT}+" if count > BADGE_LIMIT else str(count)
