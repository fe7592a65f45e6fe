"""The discard transport: takes mail that a route sends to it and drops it, on the record.

It is also the skeleton to copy: a name, `claim`, and `deliver` yielding one outcome each.
"""

from collections.abc import Iterator

from mta.protocol import status
from mta.protocol.reply import Reply
from mta.transports.base import (
    AddressBook,
    DeliveryContext,
    DeliveryRequest,
    Done,
    Outcome,
    Pool,
    Result,
)

NEXTHOP = "discard:"


class Discard:
    name = "discard"
    priority = 1
    limit = 0
    batch = 500
    pool = Pool.LOCAL
    done = Done.DISCARDED

    def claim(self, address: str, book: AddressBook) -> str | None:
        return NEXTHOP if book.nexthop(address) == NEXTHOP else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        dropped = Reply(250, status.SUCCESS, "discarded as the route says")
        for message in request.messages:
            for recipient in message.recipients:
                yield Outcome(recipient.id, Result.SENT, dropped)
