"""What every transport owes the scheduler, whatever it does with the mail.

Used on every registered transport by `test_contract.py`; a transport of somebody else may call
`check_transport` in its own tests.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mta.transports.base import (
    DeliveryContext,
    DeliveryRequest,
    Outcome,
    QueuedMessage,
    QueuedRecipient,
    Result,
    Transport,
)

CONTENT = b"From: <a@example.org>\r\nSubject: contract\r\n\r\nHello\r\n"

_CODES = {Result.SENT: "2", Result.DEFERRED: "4", Result.BOUNCED: "5"}


class Book:
    """An address book with fixed answers."""

    def __init__(self, mailboxes: Iterable[str] = (), nexthops: Mapping[str, str] | None = None):
        self._mailboxes = frozenset(mailboxes)
        self._nexthops = nexthops or {}

    def is_mailbox(self, address: str) -> bool:
        return address in self._mailboxes

    def account(self, address: str) -> str | None:
        return None

    def nexthop(self, address: str) -> str:
        return self._nexthops.get(address, "")


def message(number: int, addresses: Iterable[str], content: bytes = CONTENT) -> QueuedMessage:
    """A queued message whose recipients are numbered number * 100 + 1 and on."""
    recipients = tuple(
        QueuedRecipient(number * 100 + place, address) for place, address in enumerate(addresses, 1)
    )
    return QueuedMessage(
        number, f"{number:013d}", "sender@example.net", len(content), 1_700_000_000.5, recipients
    )


def context(mail_root: Path, contents: Mapping[int, bytes] | None = None) -> DeliveryContext:
    stored = contents or {}
    return DeliveryContext("mail.example.test", mail_root, lambda id: stored.get(id, CONTENT))


def check_transport(transport: Transport, nexthop: str, delivery_context: DeliveryContext) -> None:
    """One outcome for each recipient, none for others, each with a reply that fits its result."""
    request = DeliveryRequest(
        transport.name,
        nexthop,
        (message(1, ["a@example.com", "b@example.com"]), message(2, ["a@example.com"])),
    )
    outcomes = list(transport.deliver(request, delivery_context))
    expected = [each.id for queued in request.messages for each in queued.recipients]
    assert sorted(outcome.recipient_id for outcome in outcomes) == expected
    for outcome in outcomes:
        check_outcome(outcome)


def check_outcome(outcome: Outcome) -> None:
    assert isinstance(outcome.result, Result)
    kind = _CODES[outcome.result]
    assert str(outcome.reply.code).startswith(kind)
    assert outcome.reply.status == "" or outcome.reply.status.startswith(f"{kind}.")
    assert outcome.reply.text


def check_settings(transport: Transport) -> None:
    assert transport.name
    assert transport.limit >= 0
    assert transport.batch >= 1
    assert isinstance(transport.priority, int)
