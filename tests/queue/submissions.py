"""Submissions for tests: messages as the ingress hands them to the queue."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from mta.protocol.envelope import Envelope, Recipient, Source
from mta.queue.commit import RefusalRecord, RoutedRecipient, Submission

_ids = itertools.count(1 << 30)


def submission(*addresses: str, **fields: Any) -> Submission:
    """A message for these local addresses ("bob@example.test" when none)."""
    addresses = addresses or ("bob@example.test",)
    now = datetime.now(UTC)
    values = {
        "id": next(_ids),
        "at": now,
        "envelope": Envelope(
            "alice@example.org", tuple(Recipient(each) for each in addresses), Source.ESMTP
        ),
        "recipients": tuple(routed(each, at=now) for each in addresses),
        "content": b"Subject: x\r\n\r\nx\r\n",
        "policy_version": 1,
        **fields,
    }
    return Submission(**values)


def routed(address: str, *, at: datetime | None = None, **fields: Any) -> RoutedRecipient:
    """A recipient that is due now."""
    at = at or datetime.now(UTC)
    values = {
        "transport": "local",
        "nexthop": "",
        "next_attempt": at,
        "expires_at": at + timedelta(days=5),
        "warn_at": at + timedelta(hours=4),
        **fields,
    }
    return RoutedRecipient(address, **values)


def refusal(**fields: Any) -> RefusalRecord:
    values = {
        "at": datetime.now(UTC),
        "stage": "rcpt",
        "client_ip": "192.0.2.7",
        "helo": "client.example.org",
        "auth_user": "",
        "reverse_path": None,
        "recipient": "",
        "code": 550,
        "status": "5.1.1",
        "text": "no",
        "rule": "unknown_here",
        "policy_version": 1,
        "trace": [],
        "session": {},
        **fields,
    }
    return RefusalRecord(**values)
