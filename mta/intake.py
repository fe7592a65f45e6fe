"""Between policy and commit: an envelope whose recipients are resolved becomes a Submission.

Every way in uses this: the ingress, `sendmail`, DSNs, forwards. It expands aliases, finds each
recipient's transport and next hop, and sets the times a recipient lives by.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from mta.models import State
from mta.policy import recipients
from mta.policy.facts import Policy, Resolution, Times
from mta.protocol import address as addresses
from mta.protocol import headers, srs
from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER, Envelope, Recipient
from mta.protocol.filter_words import Disposition
from mta.protocol.site_filter import FilterAction
from mta.queue.commit import Holding, RoutedRecipient, Submission, storable

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
    dispositions: Sequence[Disposition] = (),
) -> Submission:
    """The message as it will be committed. `content` has its Received header already.

    A recipient that no transport takes is queued all the same: its failure is then an outcome
    that its sender hears of. `dispositions` are what filters want done with it instead.
    """
    expanded = recipients.expand(resolved, verp=envelope.verp)
    facts = headers.scan(content)
    clock = _Clock(arrival.at, envelope, policy)
    rows = [clock.queued(recipient, router) for recipient in expanded.recipients]
    rows += [clock.expanded(recipient) for recipient in expanded.lists]
    if dispositions:
        rows = disposed(rows, resolved, dispositions)
        accepted = accepted | {"dispositions": _described(dispositions)}
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
        holding=holding(dispositions, arrival.at),
    )


def holding(dispositions: Sequence[Disposition], at: datetime) -> Holding | None:
    """Until when filters hold the message: the longest counts, and by hand is longer than any."""
    holds = [each for each in dispositions if each.action is FilterAction.HOLD]
    if not holds:
        return None
    by_hand = next((each for each in holds if each.release_after is None), None)
    if by_hand:
        return Holding(by_hand.filter, None)
    last = max(holds, key=lambda each: each.release_after or 0.0)
    return Holding(last.filter, at + timedelta(seconds=last.release_after or 0.0))


def disposed(
    rows: Sequence[RoutedRecipient],
    resolved: Sequence[tuple[Recipient, Resolution]],
    dispositions: Sequence[Disposition],
) -> list[RoutedRecipient]:
    """Those whom a filter holds or discards the message for, held or done with; discarding wins."""
    changed = list(rows)
    for each in sorted(dispositions, key=lambda each: each.action is FilterAction.DISCARD):
        spared = _targets(resolved, each.spared)
        changed = [row if row.address in spared else _disposed(row, each) for row in changed]
    return changed


def _targets(
    resolved: Sequence[tuple[Recipient, Resolution]], addresses: frozenset[str]
) -> set[str]:
    """Where mail to these recipients goes in the end."""
    found = [resolution for recipient, resolution in resolved if recipient.address in addresses]
    return {target for each in found for target in (*each.targets, each.address)}


def _disposed(row: RoutedRecipient, disposition: Disposition) -> RoutedRecipient:
    if row.state not in (State.QUEUED, State.HELD):
        return row
    why = f"site filter {disposition.filter}"
    if disposition.detail:
        why += f": {disposition.detail}"
    if disposition.action is FilterAction.DISCARD:
        return replace(row, state=State.DISCARDED, last_reply=f"discarded by the {why}")
    return replace(row, state=State.HELD, last_reply=f"held by the {why}")


def _described(dispositions: Sequence[Disposition]) -> list[dict[str, Any]]:
    """For the history."""
    return [
        {"action": each.action.value, "filter": each.filter, "detail": storable(each.detail)}
        for each in dispositions
    ]


class _Clock:
    """The times of one message's recipients (Courier: submitdelay, queuetime, warntime)."""

    def __init__(self, at: datetime, envelope: Envelope, policy: Policy) -> None:
        self._at = at
        self._envelope = envelope
        self._null_sender = not envelope.reverse_path
        self._policy = policy

    def _expires(self, times: Times) -> datetime:
        return self._at + (times.dsn_queuetime if self._null_sender else times.queuetime)

    def queued(self, recipient: Recipient, router: Router) -> RoutedRecipient:
        transport, nexthop = router(recipient.address, self._envelope.reverse_path) or UNROUTED
        times = self._policy.times_for(transport, recipient.address)
        warn = times.warntime and not self._null_sender
        return RoutedRecipient(
            address=recipient.address,
            transport=transport,
            nexthop=nexthop,
            next_attempt=self._at + times.submitdelay,
            expires_at=self._expires(times),
            warn_at=self._at + times.warntime if warn else None,
            notify=recipient.notify,
            original_recipient=recipient.original_recipient,
            return_path=_return_path(recipient, self._envelope, self._policy, self._at),
        )

    def expanded(self, recipient: Recipient) -> RoutedRecipient:
        """A list: done by being replaced by its members (RFC 3461 5.2.7.3)."""
        return RoutedRecipient(
            address=recipient.address,
            transport="",
            nexthop="",
            next_attempt=self._at,
            expires_at=self._expires(self._policy.times),
            notify=recipient.notify,
            original_recipient=recipient.original_recipient,
            state=State.EXPANDED,
            last_reply="250 2.0.0 delivered to alias",
            report="expanded" if "SUCCESS" in recipient.notify else "",
        )


def _return_path(recipient: Recipient, envelope: Envelope, policy: Policy, at: datetime) -> str:
    """What the next host is told instead of the reverse-path, "" for that: SRS.

    It belongs to the recipient and is made here, once: one message may go to mailboxes of ours and
    on to others, its own reverse-path is where our reports go, and an address that changed with
    each attempt would be a new sender to a host that greylists. In the domain of the alias a bounce
    finds back to us.
    """
    sender = envelope.reverse_path
    if not (policy.srs_key and recipient.forwarded_by and sender):
        return ""
    if sender == DOUBLE_BOUNCE_SENDER or _is_ours(sender, policy):
        return ""
    if _is_ours(recipient.address, policy):
        return ""
    domain = addresses.split(recipient.forwarded_by)[1]
    rewritten = srs.forward(sender, domain, policy.srs_key, srs.day_of(at.timestamp()))
    return "" if rewritten == sender else rewritten


def _is_ours(address: str, policy: Policy) -> bool:
    """Whether we are an MX of its domain, so that we may send in its name, or it knows us."""
    return policy.domain_kind(addresses.split(address)[1]) is not None
