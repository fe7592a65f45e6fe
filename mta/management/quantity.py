"""Durations and sizes as people write them: "1w2d", "90" (seconds), "50M".

Durations follow Courier's time syntax: a sum of numbers with w, d, h, m or s; a number alone is
seconds. K, M and G are powers of 1,024.
"""

import re
from datetime import timedelta

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_DURATION = re.compile(r"(?:\d{1,10}[wdhms]?)+\Z", re.ASCII | re.IGNORECASE)
_PART = re.compile(r"(\d+)([wdhms]?)", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)(?:I?B)?\Z", re.ASCII | re.IGNORECASE)

MAX_DURATION = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """The sum of the parts. Raises ValueError with a sentence."""
    compact = "".join(text.split())
    if not _DURATION.match(compact):
        raise ValueError(f"{text!r} is not a duration such as 4h, 1w2d or 90 (seconds)")
    seconds = sum(
        int(number) * _UNITS[unit.lower() or "s"] for number, unit in _PART.findall(compact)
    )
    if seconds > MAX_DURATION.total_seconds():
        raise ValueError(f"{text!r} is too long")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as the same number of seconds."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, length in _UNITS.items():
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0"


def parse_size(text: str) -> int:
    """Octets. Raises ValueError with a sentence."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 500M, 10K or 1048576")
    octets = int(match.group(1)) * _SIZES[match.group(2).upper()]
    if octets >= 1 << 62:
        raise ValueError(f"{text!r} is too large")
    return octets


def format_size(octets: int) -> str:
    """Exact, with a unit only where nothing is lost by it: "50M", "1000"."""
    for unit in ("T", "G", "M", "K"):
        if octets and octets % _SIZES[unit] == 0:
            return f"{octets // _SIZES[unit]}{unit}"
    return str(octets)
