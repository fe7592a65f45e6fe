"""What is remembered of deliveries to a mailbox with rules: hits, answers given, keys seen.

Everything here may be repeated: it is written before the recipient is recorded as delivered.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection

from mta.models import Mailbox, RuleHit, SeenKey
from mta.protocol.mailbox_plan import Answer, Hit
from mta.queue.commit import storable

MAX_WORDS = 300
# RFC 6131 section 2 and RFC 7352 section 3.3 leave the most to us.
MAX_REMEMBERED = timedelta(days=90)

_MAY_ANSWER = """
INSERT INTO mta_vacationreply AS v (mailbox_id, sender, handle, replied_at, until)
VALUES (%(mailbox)s, %(sender)s, %(handle)s, %(now)s, %(until)s)
ON CONFLICT (mailbox_id, sender, handle)
DO UPDATE SET replied_at = excluded.replied_at, until = excluded.until WHERE v.until <= %(now)s
RETURNING id
"""


def record_hits(
    mailbox: Mailbox,
    hits: Iterable[Hit],
    message_id: int,
    recipient: tuple[int, str],
    at: datetime,
) -> None:
    """`recipient` is the id and the address of the delivery."""
    number, address = recipient
    rows = [
        RuleHit(
            mailbox=mailbox,
            rule=storable(hit.rule),
            message_id=message_id,
            recipient=storable(address),
            recipient_id=number,
            line=hit.line,
            what=storable(hit.what)[:MAX_WORDS],
            at=at,
        )
        for hit in hits
    ]
    RuleHit.objects.bulk_create(rows, ignore_conflicts=True)


def take_answer(mailbox: Mailbox, answer: Answer, now: datetime) -> bool:
    """Whether the sender is to be answered; if so that is remembered, by the same statement, so
    that of two deliveries at once one answers. The transaction of the caller makes it one with the
    answer."""
    length = min(timedelta(seconds=max(answer.seconds, 0)), MAX_REMEMBERED)
    values: dict[str, int | str | datetime] = {
        "mailbox": mailbox.pk,
        "sender": storable(answer.sender.lower()),
        "handle": answer.handle,
        "now": now,
        "until": now + length,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MAY_ANSWER, values)
        return cursor.fetchone() is not None


def has_seen(mailbox_id: int, key: str, recipient_id: int, now: datetime) -> bool:
    """Whether another delivery has left that key."""
    rows = SeenKey.objects.filter(mailbox_id=mailbox_id, key=digest(key), expires_at__gt=now)
    return rows.exclude(recipient_id=recipient_id).exists()


def remember_seen(
    mailbox: Mailbox, seen: Iterable[tuple[str, int]], recipient_id: int, now: datetime
) -> None:
    rows = {
        digest(key): SeenKey(
            mailbox=mailbox,
            key=digest(key),
            recipient_id=recipient_id,
            expires_at=now + min(timedelta(seconds=max(seconds, 0)), MAX_REMEMBERED),
        )
        for key, seconds in seen
    }
    SeenKey.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["mailbox", "key"],
        update_fields=["recipient_id", "expires_at"],
    )


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
