"""The http transport: mail that a route posts to a webhook, signed (step 6).

One request a message carries all its recipients, and one connection many requests. A receiver
tells a repeated request by its Idempotency-Key. What its answers mean is in `http_answer`; trouble
on the network is always for now.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from mta.protocol import status
from mta.protocol.reply import Reply
from mta.protocol.route_target import split_target
from mta.protocol.webhook import Webhook
from mta.transports.base import (
    AddressBook,
    DeliveryContext,
    DeliveryRequest,
    Done,
    Outcome,
    Pool,
    QueuedMessage,
    QueuedRecipient,
    Result,
)
from mta.transports.http_answer import outcomes
from mta.transports.http_connection import Connection, NoAnswer, NoConnection
from mta.transports.http_request import groups, request_for

_PREFIX = "http:"
# A server that gives no answer so often in a row costs its time-out no further time.
_MAX_FRUITLESS = 2

# A message with those of its recipients that go with one request.
_Parcel: TypeAlias = tuple[QueuedMessage, tuple[QueuedRecipient, ...]]


class Http:
    name = "http"
    priority = 31
    limit = 0
    batch = 100
    pool = Pool.REMOTE
    done = Done.DELIVERED

    def claim(self, address: str, book: AddressBook) -> str | None:
        nexthop = book.nexthop(address)
        return nexthop if nexthop.startswith(_PREFIX) else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        name = split_target(request.nexthop)[1]
        webhook = context.webhook(name)
        if webhook is None or not webhook.enabled:
            state = "switched off" if webhook else "gone, or its secret cannot be read"
            text = f"the webhook {name!r} is {state}"
            whole = [(message, message.recipients) for message in request.messages]
            yield from _all_unreachable(whole, Reply(451, "4.3.5", text))
            return
        delivery = _Delivery(webhook, context)
        try:
            yield from delivery.run(request.messages)
        finally:
            delivery.close()


class _Delivery:
    """The messages of one request, over one connection as long as it lasts."""

    def __init__(self, webhook: Webhook, context: DeliveryContext) -> None:
        self._webhook = webhook
        self._context = context
        self._connection = Connection(webhook, context.dns)
        self._fruitless = 0

    def close(self) -> None:
        self._connection.close()

    def run(self, messages: Iterable[QueuedMessage]) -> Iterator[Outcome]:
        waiting = self._parcels(messages)
        while waiting and not self._context.stopping():
            if self._fruitless >= _MAX_FRUITLESS:
                reply = Reply(451, status.BAD_CONNECTION, "the webhook gives no answers")
                yield from _all_unreachable(waiting, reply)
                return
            try:
                self._connection.open()
            except NoConnection as error:
                code = "4.3.5" if error.misconfigured else status.NO_ANSWER
                reply = Reply(451, code, f"the webhook cannot be reached: {error}")
                yield from _all_unreachable(waiting, reply)
                return
            yield from self._post(*waiting.popleft())
            if not waiting:
                waiting = self._parcels(self._context.more())

    def _parcels(self, messages: Iterable[QueuedMessage]) -> deque[_Parcel]:
        return deque(
            (message, group) for message in messages for group in groups(message, self._webhook)
        )

    def _post(
        self, message: QueuedMessage, recipients: tuple[QueuedRecipient, ...]
    ) -> Iterator[Outcome]:
        limit = self._webhook.sizelimit
        if limit and message.size > limit:
            reply = Reply(552, status.TOO_BIG, f"the webhook takes at most {limit} octets")
            yield from _same_for_all(recipients, Result.BOUNCED, reply)
            return
        content = self._context.content(message.id)
        request = request_for(message, recipients, content, self._webhook, int(time.time()))
        self._context.committing(recipient.id for recipient in recipients)
        try:
            answer = self._connection.post(request)
        except NoAnswer as error:
            self._fruitless += 1
            reply = Reply(451, status.BAD_CONNECTION, f"the webhook gave no answer: {error}")
            yield from _same_for_all(recipients, Result.DEFERRED, reply)
            return
        self._fruitless = 0
        yield from outcomes(answer, recipients)


def _same_for_all(
    recipients: Iterable[QueuedRecipient], result: Result, reply: Reply
) -> Iterator[Outcome]:
    for recipient in recipients:
        yield Outcome(recipient.id, result, reply)


def _all_unreachable(parcels: Iterable[_Parcel], reply: Reply) -> Iterator[Outcome]:
    """Nothing was tried for these, and nothing needs to be for others for a while."""
    for _, recipients in parcels:
        for recipient in recipients:
            yield Outcome(recipient.id, Result.DEFERRED, reply, unreachable=True)
