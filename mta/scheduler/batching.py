"""Step 5: the leased recipients of a batch as the messages that a transport gets."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from mta.protocol.queue_id import encode_queue_id
from mta.queue.lease import LeasedRecipient
from mta.transports.base import QueuedMessage, QueuedRecipient


def messages(recipients: Iterable[LeasedRecipient]) -> Iterator[QueuedMessage]:
    """Each message with those recipients; they come sorted by message."""
    for message_id, group in groupby(recipients, key=lambda recipient: recipient.message_id):
        members = list(group)
        first = members[0]
        yield QueuedMessage(
            id=message_id,
            queue_id=encode_queue_id(message_id),
            reverse_path=first.reverse_path,
            size=first.size,
            created_at=first.created_at.timestamp(),
            recipients=tuple(_recipient(member) for member in members),
            ret=first.ret,
            envid=first.envid,
            smtputf8=first.smtputf8,
            eight_bit=first.eight_bit,
            verp=first.verp,
            requiretls=first.requiretls,
        )


def known_contents(recipients: Iterable[LeasedRecipient]) -> dict[int, bytes]:
    """The contents that came with the claim, by message id."""
    return {each.message_id: each.content for each in recipients if each.content is not None}


def _recipient(leased: LeasedRecipient) -> QueuedRecipient:
    return QueuedRecipient(
        id=leased.id,
        address=leased.address,
        original_recipient=leased.original_recipient,
        return_path=leased.return_path,
        notify=leased.notify,
        attempt=leased.attempts,
    )
