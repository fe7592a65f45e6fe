"""Dates in header fields and the present time (RFC 5260, sections 4 and 5)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime

from mta.filters.sieve.core import indexed
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Run, Test

ZONE = re.compile(r"([+-])([01]\d|2[0-3])([0-5]\d)\Z")
_MAX_DATE = 200
# The day of the Modified Julian Date 0 in the count of `datetime` (appendix A).
_JULIAN_EPOCH = 678_576

PARTS: dict[str, Callable[[datetime], str]] = {
    "year": lambda at: f"{at.year:04}",
    "month": lambda at: f"{at.month:02}",
    "day": lambda at: f"{at.day:02}",
    "date": lambda at: f"{at:%Y-%m-%d}".zfill(10),
    "julian": lambda at: str(at.toordinal() - _JULIAN_EPOCH),
    "hour": lambda at: f"{at.hour:02}",
    "minute": lambda at: f"{at.minute:02}",
    "second": lambda at: f"{at.second:02}",
    "time": lambda at: f"{at:%H:%M:%S}",
    "iso8601": lambda at: at.isoformat(timespec="seconds"),
    "std11": format_datetime,
    "zone": lambda at: f"{at:%z}"[:5],
    "weekday": lambda at: str((at.weekday() + 1) % 7),
}


def date(run: Run, call: Call) -> bool:
    name, part = run.argument(call, 0), run.argument(call, 1).lower()
    found = [_read(each) for each in indexed(call, run.message.header(name))]
    # Section 4: one that cannot be read has no value.
    times = [each for each in found if each is not None]
    return run.compare(call, _parts(run, call, times, part), f"{part} of the date in {name}")


def currentdate(run: Run, call: Call) -> bool:
    part = run.argument(call, 0).lower()
    now = datetime.fromtimestamp(run.surroundings.at, UTC)
    return run.compare(call, _parts(run, call, [now], part), f"{part} of now")


def _parts(run: Run, call: Call, times: list[datetime], part: str) -> list[str]:
    if part not in PARTS:
        return []
    values = []
    for each in times:
        try:
            values.append(PARTS[part](_in_zone(run, call, each)))
        except (OverflowError, ValueError):
            continue
    return values


def _in_zone(run: Run, call: Call, at: datetime) -> datetime:
    if call.option("zone") == "originalzone":
        return at
    offset = run.surroundings.zone
    if match := ZONE.match(run.option(call, "zone") if call.has("zone") else ""):
        sign, hours, minutes = match.groups()
        offset = (60 * int(hours) + int(minutes)) * (-1 if sign == "-" else 1)
    return at.astimezone(timezone(timedelta(minutes=offset)))


def _read(value: str) -> datetime | None:
    """The date of a field; in fields like Received it is what follows the last semicolon."""
    text = value.rpartition(";")[2].strip()[:_MAX_DATE]
    try:
        at = parsedate_to_datetime(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


TESTS: dict[str, Test] = {"date": date, "currentdate": currentdate}
