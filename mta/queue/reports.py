"""DSNs that are due: which recipients are to be reported, and when that is done.

A report is marked on the recipient in the transaction of its outcome, so it cannot be lost. It
is sent when every recipient of the message was tried at least once, so that one DSN can speak
for all of them.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from mta.models import Content, Event, Message, Recipient


@dataclass(frozen=True, slots=True)
class DueReport:
    """A message with the recipients its sender is to be told about."""

    message: Message
    recipients: tuple[Recipient, ...]
    content: bytes


_DUE = """
SELECT m.id FROM mta_message m
WHERE m.id IN (SELECT r.message_id FROM mta_recipient r WHERE r.report <> '')
  AND NOT EXISTS (SELECT 1 FROM mta_recipient w WHERE w.message_id = m.id
                  AND (w.state = 'delivering' OR (w.state = 'queued' AND w.attempts = 0
                       AND w.next_attempt < now() + interval '1 minute')))
ORDER BY m.id LIMIT 1 FOR UPDATE OF m SKIP LOCKED
"""


def claim_due() -> DueReport | None:
    """One message with reports due; it and they are locked until the caller's transaction ends.

    A recipient that a worker is settling at this moment is left for another time: the report
    that is due may become another one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        row = cursor.fetchone()
    if row is None:
        return None
    message = Message.objects.get(id=row[0])
    marked = Recipient.objects.filter(message=message).exclude(report="").order_by("id")
    recipients = tuple(marked.select_for_update(skip_locked=True))
    if not recipients:
        return None
    content = Content.objects.filter(message=message).values_list("data", flat=True).first()
    return DueReport(message, recipients, bytes(content or b""))


def done(due: DueReport, dsn_queue_id: str, at: datetime) -> None:
    """The report is in the queue (or not wanted: then `dsn_queue_id` is ""); part of the
    caller's transaction."""
    Recipient.objects.filter(id__in=[recipient.id for recipient in due.recipients]).update(
        report=""
    )
    if dsn_queue_id:
        Event.objects.create(
            at=at,
            message=due.message,
            kind="dsn",
            data={
                "queue_id": dsn_queue_id,
                "reports": {recipient.address: recipient.report for recipient in due.recipients},
            },
        )
