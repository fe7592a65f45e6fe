"""Faults of a header section that mostly junk has: a wrong date, no author or several, a crowd."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from mta.protocol.header_fields import Field, cut, split
from mta.protocol.mailbox_list import MailboxListError, mapped


@dataclass(frozen=True, slots=True)
class Limits:
    """What is looked at; 0 and False are not. `date_hours` is how far the Date may be away."""

    date_hours: float = 0.0
    require_from: bool = False
    single_from: bool = False
    max_addressees: int = 0


def faults(content: bytes, limits: Limits, at: float) -> Iterator[str]:
    """Sentences on what is wrong; `at` is now, in seconds since the epoch."""
    fields = split(cut(content)[0])
    authors = [field for field in fields if field.name == "from"]
    if limits.require_from and not any(field.value for field in authors):
        yield "the message does not say who it is from"
    if limits.single_from and (len(authors) > 1 or sum(map(_addresses, authors)) > 1):
        yield "the message says that it is from several"
    if limits.date_hours and (hours := _hours_away(fields, at)) > limits.date_hours:
        yield f"the date of the message is {hours:.0f} hours away"
    if limits.max_addressees:
        count = sum(_addresses(field) for field in fields if field.name in ("to", "cc"))
        if count > limits.max_addressees:
            yield f"the message is addressed to {count}, {limits.max_addressees} may be"


def _hours_away(fields: list[Field], at: float) -> float:
    """How far the Date is from now; 0 when there is none that can be read."""
    date = next((field for field in fields if field.name == "date"), None)
    if date is None:
        return 0.0
    try:
        found = parsedate_to_datetime(date.value[:200].decode("latin-1"))
        # Without a zone it is that of UTC (RFC 5322 3.3, "-0000").
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return abs(found.timestamp() - at) / 3600
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def _addresses(field: Field) -> int:
    """How many addresses the field lists; what cannot be read counts by its "@"."""
    count = 0

    def counted(address: str) -> str:
        nonlocal count
        count += 1
        return address

    try:
        mapped(field.body, counted)
    except MailboxListError:
        return field.body.count(b"@")
    return count
