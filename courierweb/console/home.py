"""The home page: is everything alive, what is going on, what needs attention."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from courierweb.console import chart, filter_alerts, health
from courierweb.console.alert import Alert
from courierweb.console.templatetags.console import age, clip, hop
from mta.models import AccessRule, Domain, Message, PolicyChange, Settings
from mta.queue import history

SPAN = timedelta(hours=24)
FAILING_AFTER = timedelta(minutes=30)
MOST_WARNINGS = 10
MOST_MARKERS = 200


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that links to the list that makes it."""

    title: str
    value: str
    link: str
    tone: str = "calm"
    note: str = ""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What django-unfold shows on the index page of the admin."""
    since = timezone.now() - SPAN
    picture = chart.draw(history.chart(since), _changes(since))
    groups = history.queue_groups(limit=20)
    parts = health.parts()
    certificate = health.certificate()
    return {
        **context,
        "title": "Home",
        "is_fullwidth": "1",
        "parts": parts,
        "certificate": certificate,
        "tiles": _tiles(picture, history.oldest_live()),
        "chart": picture,
        "groups": groups[:6],
        "warnings": _warnings(context["wide_relays"], parts, certificate, groups),
        "refusals": history.refusals(8, wanted=history.RefusalFilter(enforced=True)),
    }


def _changes(since: datetime) -> list[PolicyChange]:
    changes = PolicyChange.objects.filter(at__gte=since).order_by("-id")[:MOST_MARKERS]
    return list(reversed(changes))


def _tiles(picture: chart.Chart, oldest: Message | None) -> list[Tile]:
    queue, search = reverse("console:queue"), reverse("console:search")
    live, totals = history.queue_counts(), picture.totals
    return [
        Tile("Queued", f"{live['queued'] + live['delivering']:,}", f"{queue}?state=queued"),
        Tile(
            "Held",
            f"{live['held']:,}",
            f"{queue}?state=held",
            "warn" if live["held"] else "calm",
        ),
        Tile(
            "Deferred",
            f"{totals['deferred']:,}",
            f"{queue}?state=queued&reply=4.",
            "warn" if totals["deferred"] else "calm",
            "attempts, 24 h",
        ),
        Tile(
            "Delivered",
            f"{totals['delivered']:,}",
            f"{search}?q=status:delivered",
            "good",
            "24 h",
        ),
        Tile("Refused", f"{totals['refused']:,}", reverse("console:refusals"), "calm", "24 h"),
        Tile(
            "Bounced",
            f"{totals['bounced']:,}",
            f"{search}?q=status:failed",
            "bad" if totals["bounced"] else "calm",
            "24 h",
        ),
        _oldest_tile(oldest),
    ]


def _oldest_tile(oldest: Message | None) -> Tile:
    if oldest is None:
        return Tile("Oldest queued", "none", reverse("console:queue"))
    link = reverse("console:message", args=[oldest.queue_id])
    return Tile("Oldest queued", age(oldest.created_at), link)


def _warnings(
    wide: list[AccessRule],
    parts: list[health.Part],
    certificate: health.Certificate,
    groups: list[history.QueueGroup],
) -> list[Alert]:
    """The worst first."""
    found = [_wide_relay(rule) for rule in wide]
    found += [
        Alert("bad", f"{part.name} is down: {part.detail}.", reverse("healthz"), "Details")
        for part in parts
        if not part.ok
    ]
    if certificate.expires_at and not certificate.ok:
        found.append(
            Alert("bad", f"TLS: {certificate.detail}.", reverse("admin:index"), "Look again")
        )
    found += [_failing(group) for group in groups if _is_failing(group)]
    found += filter_alerts.alerts()
    found += _unwise_settings()
    return found[:MOST_WARNINGS]


def _wide_relay(rule: AccessRule) -> Alert:
    link = reverse("admin:mta_accessrule_change", args=[rule.pk])
    return Alert("bad", f"{rule.prefix} may relay to anywhere.", link, "Edit rule")


def _is_failing(group: history.QueueGroup) -> bool:
    waiting = timezone.now() - group.oldest
    return group.attempts > 1 and bool(group.last_reply) and waiting > FAILING_AFTER


def _failing(group: history.QueueGroup) -> Alert:
    text = (
        f"{hop(group.nexthop, group.transport)} has kept {group.total:,} waiting for "
        f"{age(group.oldest)}: {clip(group.last_reply, 100)}"
    )
    return Alert("warn", text, destination_link(group), "Show queue")


def destination_link(group: history.QueueGroup) -> str:
    """The queue page of one destination."""
    query = urlencode({"destination": group.nexthop or group.transport})
    return f"{reverse('console:queue')}?{query}"


def _unwise_settings() -> list[Alert]:
    found = []
    if not Domain.objects.exists():
        found.append(
            Alert(
                "warn",
                "No domain yet, so no mail is accepted.",
                reverse("admin:mta_domain_add"),
                "Add a domain",
            )
        )
    if Settings.load().auth_in_clear_on_loopback:
        found.append(
            Alert(
                "warn",
                "Local programs may send passwords in clear.",
                reverse("admin:mta_settings_changelist"),
                "Settings",
            )
        )
    return found
