"""Step 3, the memory of the filter sender_verification: what other hosts said of senders."""

import time
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from mta.models import SenderVerification
from mta.protocol.reply import Reply
from mta.protocol.sender_check import SenderWord, Standing
from mta.queue.commit import storable

MAX_TEXT = 1000
BATCH = 2000

_FORGET = """
DELETE FROM mta_senderverification WHERE key IN (
    SELECT key FROM mta_senderverification WHERE expires_at < now() LIMIT %s
    FOR UPDATE SKIP LOCKED)
"""


def known(key: str) -> SenderWord | None:
    """What was said of a sender, while it may be used again. Raises DatabaseError."""
    row = SenderVerification.objects.filter(
        key=storable(key), expires_at__gt=timezone.now()
    ).first()
    if row is None:
        return None
    reply = Reply(row.code, row.status, row.text)
    return SenderWord(Standing(row.standing), reply, row.host, remembered=True)


def remember(key: str, word: SenderWord, seconds: float) -> None:
    """Raises DatabaseError."""
    SenderVerification.objects.update_or_create(
        key=storable(key),
        defaults={
            "standing": word.standing.value,
            "code": word.reply.code,
            "status": word.reply.status,
            "text": storable(word.reply.text[:MAX_TEXT]),
            "host": storable(word.host),
            "expires_at": timezone.now() + timedelta(seconds=seconds),
        },
    )


def forget(deadline: float) -> int:
    """Delete what may not be used again, until `deadline` (monotonic); gives how many."""
    deleted = 0
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [BATCH])
            deleted += cursor.rowcount
            if cursor.rowcount < BATCH:
                break
    return deleted
