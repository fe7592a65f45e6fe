"""Rows of the queue for tests: messages with recipients, as the ingress would leave them."""

import itertools
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from mta.models import Content, Message, Recipient, State
from mta.models.message import LIVE_STATES

_ids = itertools.count(1 << 20)


def make_message(
    *addresses: str, content: bytes = b"Subject: x\r\n\r\nx\r\n", **fields: Any
) -> Message:
    """A queued message for these addresses ("bob@example.test" when none), with its content."""
    created_at: datetime = fields.pop("created_at", timezone.now())
    message = Message.objects.create(
        **{
            "id": next(_ids),
            "created_at": created_at,
            "pending": 0,
            "reverse_path": "alice@example.org",
            "source": "esmtp",
            "auth_user": "",
            "client_ip": "192.0.2.7",
            "helo": "client.example.org",
            "ret": "",
            "envid": "",
            "smtputf8": False,
            "eight_bit": False,
            "size": len(content),
            "header_message_id": "",
            "subject": "",
            "policy_version": 1,
            **fields,
        }
    )
    Content.objects.create(message=message, data=content)
    for address in addresses or ("bob@example.test",):
        add_recipient(message, address)
    return message


def add_recipient(message: Message, address: str, **fields: Any) -> Recipient:
    """One more recipient; `pending` of the message counts it when it is live."""
    values = {
        "original_recipient": "",
        "notify": "",
        "state": State.QUEUED,
        "transport": "esmtp",
        "nexthop": "mx:" + address.rpartition("@")[2],
        "next_attempt": message.created_at,
        "expires_at": message.created_at + timedelta(days=5),
        **fields,
    }
    recipient = Recipient.objects.create(message=message, address=address, **values)
    if recipient.state in LIVE_STATES:
        message.pending += 1
        message.save()
    return recipient


def finish(message: Message, at: datetime, state: State = State.DELIVERED) -> None:
    """End every recipient of the message at that time."""
    message.recipient_set.update(state=state, finished_at=at, report="")
    message.pending = 0
    message.finished_at = at
    message.save()
