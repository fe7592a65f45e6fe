"""What the bundled site filters have to tell an administrator: on the home page."""

from datetime import timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from courierweb.console.alert import Alert
from courierweb.console.templatetags.console import age
from mta.models import Settings, SiteFilter
from mta.queue import releases, slews

SLEWS_SHOWN = timedelta(hours=24)
MOST_SENDERS = 3


def alerts() -> list[Alert]:
    """The worst first."""
    since = timezone.now() - SLEWS_SHOWN
    found = [_slew(each) for each in slews.stopped(since)]
    found += [_waiting(each) for each in releases.waiting(MOST_SENDERS)]
    return found + _without_pause()


def _slew(slew: slews.Stopped) -> Alert:
    text = (
        f"The filter {slew.filter} stopped {slew.copies:,} copies of {_texts(slew.texts)}, the last"
        f" one {age(slew.last_at)} ago."
    )
    query = urlencode({"rule": f"site_filter:{slew.filter}"})
    return Alert("warn", text, f"{reverse('console:refusals')}?{query}", "Show refusals")


def _texts(count: int) -> str:
    return "one text" if count == 1 else f"{count:,} texts"


def _waiting(waiting: releases.Waiting) -> Alert:
    whose = waiting.sender or "somebody"
    messages = "1 message" if waiting.messages == 1 else f"{waiting.messages:,} messages"
    text = (
        f"{whose} sends more than the filter {waiting.filter} lets through: {messages} held, the"
        f" last until {timezone.localtime(waiting.until):%Y-%m-%d %H:%M}."
    )
    return Alert("warn", text, f"{reverse('console:queue')}?state=held", "Show held mail")


def _without_pause() -> list[Alert]:
    """Copies that are delivered at once cannot be called back."""
    rows = SiteFilter.objects.filter(kind="duplicate_slew").exclude(state=SiteFilter.State.OFF)
    if Settings.load().submitdelay or not (row := rows.first()):
        return []
    text = f"The filter {row} can only cancel copies that wait, and submitdelay is 0."
    return [Alert("warn", text, reverse("admin:mta_settings_changelist"), "Settings")]
