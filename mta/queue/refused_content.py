"""What was refused at the end of DATA, kept for a while: stored by the ingress, read by people."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from mta.models import RefusedContent
from mta.protocol.envelope import Envelope, Recipient, Source
from mta.queue.commit import storable
from mta.queue.listing import fetch

# Two that trim at once would wait for each other's rows; the number only has to be our own.
_TRIM_LOCK = 0x5EEC

_TRIM = """
DELETE FROM mta_refusedcontent WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(size) OVER (ORDER BY id DESC) AS altogether FROM mta_refusedcontent
    ) AS kept WHERE altogether > %s
)
"""


@dataclass(frozen=True, slots=True)
class KeptContent:
    """`content` is the message as it would have been queued, `envelope` an Envelope as a
    dictionary. `most` is how many octets are kept of all such messages."""

    id: int
    expires_at: datetime
    envelope: dict[str, Any]
    content: bytes
    most: int

    @property
    def size(self) -> int:
        return len(self.content)


def store(kept: KeptContent) -> None:
    """Keep it, and forget the oldest ones that are too much. Raises DatabaseError."""
    with transaction.atomic():
        RefusedContent.objects.create(
            id=kept.id,
            expires_at=kept.expires_at,
            size=kept.size,
            envelope=_storable(kept.envelope),
            content=kept.content,
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_TRIM_LOCK])
            (alone,) = cursor.fetchone()
            if alone:
                cursor.execute(_TRIM, [kept.most])


def envelope_of(row: RefusedContent) -> Envelope:
    """The envelope as it was."""
    fields = {**row.envelope}
    return Envelope(
        **{
            **fields,
            "source": Source(fields["source"]),
            "recipients": tuple(Recipient(**each) for each in fields["recipients"]),
        }
    )


def head(content_id: int, octets: int) -> bytes:
    """The first octets, without reading the rest; b"" when it is gone."""
    rows = fetch(
        "SELECT substring(content FROM 1 FOR %s) FROM mta_refusedcontent WHERE id = %s",
        [octets, content_id],
    )
    return bytes(rows[0][0]) if rows else b""


def _storable(value: Any) -> Any:
    """JSON as PostgreSQL takes it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {name: _storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    return value
