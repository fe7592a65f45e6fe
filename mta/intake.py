"""Between policy and commit: an envelope whose recipients are resolved becomes a Submission.

Every way in uses this: the ingress, `sendmail`, DSNs, forwards. It expands aliases, finds each
recipient's transport and next hop, and sets the times a recipient lives by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from mta.models import State
from mta.policy import recipients
from mta.policy.facts import Policy, Resolution
from mta.protocol import headers
from mta.protocol.envelope import Envelope, Recipient
from mta.queue.commit import RoutedRecipient, Submission

UNROUTED = ("local", "")


class Router(Protocol):
    """(transport, next hop) of an address for a reverse-path, or None when no transport takes
    it."""

    def __call__(self, address: str, reverse_path: str) -> tuple[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """When and as what a message arrives."""

    id: int
    at: datetime
    origin: str | None = None


def prepare(
    arrival: Arrival,
    envelope: Envelope,
    resolved: Sequence[tuple[Recipient, Resolution]],
    content: bytes,
    policy: Policy,
    router: Router,
    accepted: dict[str, Any],
) -> Submission:
    """The message as it will be committed. `content` has its Received header already.

    A recipient that no transport takes is queued all the same: its failure is then an outcome
    that its sender hears of.
    """
    expanded = recipients.expand(resolved, verp=envelope.verp)
    facts = headers.scan(content)
    clock = _Clock(arrival.at, envelope, policy)
    rows = [clock.queued(recipient, router) for recipient in expanded.recipients]
    rows += [clock.expanded(recipient) for recipient in expanded.lists]
    return Submission(
        id=arrival.id,
        at=arrival.at,
        envelope=envelope,
        recipients=tuple(rows),
        content=content,
        policy_version=policy.version,
        eight_bit=not content.isascii(),
        header_message_id=facts.message_id,
        subject=facts.subject,
        origin=arrival.origin,
        accepted=accepted,
    )


class _Clock:
    """The times of one message's recipients (Courier: submitdelay, queuetime, warntime)."""

    def __init__(self, at: datetime, envelope: Envelope, policy: Policy) -> None:
        times = policy.times
        null_sender = not envelope.reverse_path
        self._at = at
        self._reverse_path = envelope.reverse_path
        self._first = at + times.submitdelay
        self._expires = at + (times.dsn_queuetime if null_sender else times.queuetime)
        self._warn = at + times.warntime if times.warntime and not null_sender else None

    def queued(self, recipient: Recipient, router: Router) -> RoutedRecipient:
        transport, nexthop = router(recipient.address, self._reverse_path) or UNROUTED
        return RoutedRecipient(
            address=recipient.address,
            transport=transport,
            nexthop=nexthop,
            next_attempt=self._first,
            expires_at=self._expires,
            warn_at=self._warn,
            notify=recipient.notify,
            original_recipient=recipient.original_recipient,
        )

    def expanded(self, recipient: Recipient) -> RoutedRecipient:
        """A list: done by being replaced by its members (RFC 3461 5.2.7.3)."""
        return RoutedRecipient(
            address=recipient.address,
            transport="",
            nexthop="",
            next_attempt=self._at,
            expires_at=self._expires,
            notify=recipient.notify,
            original_recipient=recipient.original_recipient,
            state=State.EXPANDED,
            last_reply="250 2.0.0 delivered to alias",
            report="expanded" if "SUCCESS" in recipient.notify else "",
        )
