"""Step 6, http: what is posted for a message, in the form that the webhook wants.

The form "raw" is the message as it is, with the envelope in header fields; "json" is one object
with the envelope and the message in base64, which also puts the envelope under the signature.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta.protocol import address
from mta.protocol.webhook import Webhook, idempotency_key, signature
from mta.transports.base import QueuedMessage, QueuedRecipient

AGENT = "CourierWeb"
# Web servers bound the number of fields and the length of the header (8 KiB is usual).
MOST_IN_HEADER = 25


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the recipients it is for, its header fields as octets, and its body."""

    recipients: Sequence[QueuedRecipient]
    fields: Mapping[str, bytes]
    body: bytes


def groups(message: QueuedMessage, webhook: Webhook) -> Iterator[tuple[QueuedRecipient, ...]]:
    """The recipients that go with one request each: all of them, where they fit."""
    most = len(message.recipients) if webhook.json else MOST_IN_HEADER
    for start in range(0, len(message.recipients), max(1, most)):
        yield message.recipients[start : start + most]


def request_for(
    message: QueuedMessage,
    recipients: Sequence[QueuedRecipient],
    content: bytes,
    webhook: Webhook,
    at: int,
) -> Request:
    """The request to make now; `at` is in seconds since the epoch."""
    key = idempotency_key(message.queue_id, [recipient.id for recipient in recipients])
    if webhook.json:
        kind, body, envelope = "application/json", _object(message, recipients, content, key), {}
    else:
        kind, body, envelope = "message/rfc822", content, _envelope(message, recipients)
    fields = {
        "Content-Type": kind.encode(),
        "Content-Length": str(len(body)).encode(),
        "User-Agent": AGENT.encode(),
        "Accept": b"application/json",
        "Idempotency-Key": f'"{key}"'.encode(),
        "X-CourierWeb-Signature": signature(webhook.secret, body, at).encode(),
        **envelope,
    }
    return Request(recipients, fields, body)


def _envelope(message: QueuedMessage, recipients: Sequence[QueuedRecipient]) -> dict[str, bytes]:
    """Addresses hold no control characters, so that they cannot begin a field of their own."""
    each = b", ".join(_bracketed(recipient.address) for recipient in recipients)
    return {
        "X-CourierWeb-Queue-Id": message.queue_id.encode(),
        "X-CourierWeb-Sender": _bracketed(message.reverse_path),
        "X-CourierWeb-Recipients": each,
    }


def _bracketed(text: str) -> bytes:
    return f"<{address.wire(text)}>".encode("utf-8", "surrogateescape")


def _object(
    message: QueuedMessage, recipients: Sequence[QueuedRecipient], content: bytes, key: str
) -> bytes:
    return json.dumps(
        {
            "queue_id": message.queue_id,
            "idempotency_key": key,
            "sender": address.wire(message.reverse_path),
            "recipients": [
                {
                    "id": recipient.id,
                    "address": address.wire(recipient.address),
                    "original_recipient": recipient.original_recipient,
                    "attempt": recipient.attempt,
                }
                for recipient in recipients
            ],
            "queued_at": message.created_at,
            "message": base64.b64encode(content).decode("ascii"),
        }
    ).encode("ascii")
