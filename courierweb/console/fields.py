"""Form fields that read and write durations, sizes and lists the way people do."""

import re
from datetime import timedelta
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

_UNIT_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "min": 60, "s": 1}
_UNIT_NAMES = {
    **dict.fromkeys(("w", "week", "weeks"), "w"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("m", "min", "minute", "minutes"), "min"),
    **dict.fromkeys(("s", "sec", "second", "seconds", ""), "s"),
}
_SIZE_FACTORS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION_PART = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)[\s,]*")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGTB]?)(?:iB|B)?\Z", re.IGNORECASE)
_LARGEST_DURATION = timedelta(days=3660)
_LARGEST_SIZE = 1 << 50


def duration_text(value: timedelta) -> str:
    """ "1 h 30 min"; "0" for none."""
    seconds = int(value.total_seconds())
    words = []
    for unit in ("d", "h", "min", "s"):
        count, seconds = divmod(seconds, _UNIT_SECONDS[unit])
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words) or "0"


def parse_duration(text: str) -> timedelta:
    """The reverse; a number without a unit is seconds. Raises ValueError with a sentence."""
    wanted = 'write a duration like "90 s", "15 min", "4 h" or "1 d 12 h"'
    rest, seconds = text.strip().lower(), 0.0
    if not rest:
        raise ValueError(wanted)
    while rest:
        part = _DURATION_PART.match(rest)
        unit = _UNIT_NAMES.get(part.group(2)) if part else None
        if part is None or unit is None:
            raise ValueError(wanted)
        seconds += float(part.group(1)) * _UNIT_SECONDS[unit]
        rest = rest[part.end() :]
    if seconds > _LARGEST_DURATION.total_seconds():
        raise ValueError("ten years is the longest duration")
    return timedelta(seconds=seconds)


def size_text(octets: int) -> str:
    """ "50 MiB" when that is exact, else the octets."""
    for unit in ("T", "G", "M", "K"):
        if octets and octets % _SIZE_FACTORS[unit] == 0:
            return f"{octets // _SIZE_FACTORS[unit]} {unit}iB"
    return str(octets)


def parse_size(text: str) -> int:
    """Octets. Units are powers of 1024. Raises ValueError with a sentence."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError('write a size like "800 KiB", "50 MiB" or a number of octets')
    octets = int(float(match.group(1)) * _SIZE_FACTORS[match.group(2).upper()])
    if octets > _LARGEST_SIZE:
        raise ValueError("that is too large a size")
    return octets


class DurationField(forms.CharField):
    """A timedelta shown as "4 h"; None when it may be left empty and is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminTextInputWidget(), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return duration_text(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text and not self.required:
            return None
        try:
            return parse_duration(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class SizeField(forms.CharField):
    """A number of octets shown as "50 MiB"; None when it may be left empty and is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminTextInputWidget(), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return size_text(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text and not self.required:
            return None
        try:
            return parse_size(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class SwitchField(forms.TypedChoiceField):
    """Yes, no, or no word on it (None)."""

    def __init__(self, unset: str, **kwargs: Any) -> None:
        super().__init__(
            choices=[("", unset), ("yes", "Yes"), ("no", "No")],
            coerce=lambda value: value == "yes",
            empty_value=None,
            required=False,
            widget=UnfoldAdminSelectWidget(),
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, bool):
            return "yes" if value else "no"
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class LinesField(forms.CharField):
    """A list of strings, one a line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminTextareaWidget({"rows": 5}), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = (super().to_python(value) or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(self.prepare_value(initial)) != self.to_python(data)
