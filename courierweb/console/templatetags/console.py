"""How the console writes times, sizes, states and text that came from strangers."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone

register = template.Library()

REPLACEMENT = "\ufffd"
# What could disguise text: controls, formats (bidirectional marks, zero width), surrogates.
_DISGUISES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_TONES = {
    "good": ("delivered", "relayed", "sent", "released", "expanded", "accept", "success"),
    "bad": ("failed", "expired", "bounced", "refused", "refuse", "cancelled", "error"),
    "warn": (
        "held",
        "deferred",
        "defer",
        "uncertain",
        "interrupted",
        "lease_expired",
        "warning",
        "logged",
    ),
    "busy": ("delivering", "started"),
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words}
_ICONS = {
    "session": "lan",
    "connect": "lan",
    "helo": "waving_hand",
    "auth": "key",
    "mail": "person",
    "rcpt": "alternate_email",
    "content": "draft",
    "queued": "stacked_email",
    "accept": "check",
    "sent": "check_circle",
    "deferred": "schedule",
    "defer": "schedule",
    "bounced": "cancel",
    "refuse": "block",
    "refused": "block",
    "failed": "cancel",
    "expired": "hourglass_bottom",
    "filter": "filter_alt",
    "held": "pause_circle",
    "released": "play_circle",
    "retried": "refresh",
    "cancelled": "cancel",
    "started": "outbound",
    "uncertain": "help",
    "interrupted": "power_off",
    "lease_expired": "power_off",
}


@register.filter
def clip(value: Any, length: int = 160) -> str:
    """At most `length` characters of the text, with characters that could disguise it replaced."""
    text = str(value or "")
    shown = "".join(
        REPLACEMENT if unicodedata.category(char) in _DISGUISES else char
        for char in text[:length].replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    )
    return f"{shown}…" if len(text) > length else shown


@register.filter
def sender(reverse_path: str | None) -> str:
    """A reverse-path as people see it; the null sender is <>."""
    return clip(reverse_path, 80) if reverse_path else "<>"


@register.filter
def hop(nexthop: str, transport: str = "") -> str:
    """A next hop as people call it: its domain or relay; the transport where it has none."""
    kind, _, name = nexthop.partition(":")
    if kind == "relay":
        return f"{clip(name, 60)} (route)"
    return clip(name if kind == "mx" else nexthop, 60) or transport


@register.filter
def age(at: datetime | None) -> str:
    """How long ago, in the largest unit alone: "3 h"."""
    return " ".join(elapsed(timezone.now() - at).split()[:2]) if at else ""


@register.filter
def due(at: datetime | None) -> str:
    """When something will happen: "in 5 min" or "now"."""
    if at is None:
        return ""
    left = at - timezone.now()
    return f"in {elapsed(left)}" if left > timedelta(seconds=1) else "now"


@register.filter
def elapsed(length: timedelta | None) -> str:
    """A time span in its one or two largest units."""
    if length is None:
        return ""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return _two(hours, "h", minutes % 60, "min")
    return _two(days, "d", hours % 24, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")


@register.filter
def octets(size: int | None) -> str:
    """ "12.3 KiB"."""
    value = float(size or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


@register.filter
def tone(word: str) -> str:
    """The colour of a state or kind: good, bad, warn, busy or calm."""
    return _TONE_OF.get(str(word).lower(), "calm")


@register.filter
def icon(kind: str) -> str:
    return _ICONS.get(kind, "radio_button_checked")


@register.filter
def details(detail: Any) -> list[tuple[str, str]]:
    """What an entry's detail holds, as names and values to show beneath it."""
    if not isinstance(detail, dict):
        return []
    return [
        (name.replace("_", " "), _shown(value))
        for name, value in detail.items()
        if name not in ("steps", "at") and value not in (None, "", [], {})
    ]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(_shown(inner) for inner in value)
    return clip(value, 1000)
