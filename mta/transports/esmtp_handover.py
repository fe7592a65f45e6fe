"""Step 6, ESMTP and LMTP: messages that wait for a peer, and as many sessions as they take."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from mta.protocol import status
from mta.protocol.reply import Reply
from mta.transports.base import DeliveryContext, Outcome, QueuedMessage, Result
from mta.transports.esmtp_connect import Connection, Refused, Unreachable
from mta.transports.esmtp_session import Session, with_status

# A peer may close after each message, but not before the first one time and again.
_MAX_FRUITLESS = 2


class Opener(Protocol):
    """Who opens sessions with a next hop."""

    def connect(self) -> Connection:
        """Raises Refused, Unreachable."""
        ...


def hand_over(
    waiting: deque[QueuedMessage],
    connector: Opener,
    context: DeliveryContext,
    protected: deque[QueuedMessage] | None = None,
) -> Iterator[Outcome]:
    """Over as many connections as the peer wants it to take. With `protected` an open session
    goes on with more messages; those that demand REQUIRETLS are put there for a session of
    their own."""
    fruitless = 0
    # What holds for a peer that must prove its name says nothing about plain mail.
    plain = protected is not None
    while waiting and fruitless < _MAX_FRUITLESS and not context.stopping():
        try:
            session = Session(connector.connect(), context)
        except Refused as error:
            yield from same_for_all(
                waiting, error.reply, error.remote, error.command, unreachable=plain
            )
            return
        except Unreachable as error:
            reply = Reply(error.cause.code, error.cause.status, str(error))
            yield from same_for_all(waiting, reply, error.remote, unreachable=plain)
            return
        yield from _use(session, waiting, context, protected)
        fruitless = 0 if session.fruitful else fruitless + 1
    if not context.stopping():
        lost = Reply(451, status.BAD_CONNECTION, "the peer keeps breaking the connection")
        yield from same_for_all(waiting, lost)


def _use(
    session: Session,
    waiting: deque[QueuedMessage],
    context: DeliveryContext,
    protected: deque[QueuedMessage] | None,
) -> Iterator[Outcome]:
    """Send what waits over one session until it is over; what it did not try waits again."""
    try:
        while waiting and session.open and not context.stopping():
            yield from session.deliver(waiting.popleft())
            if session.unsent is not None:
                waiting.appendleft(session.unsent)
            if not waiting and session.open and protected is not None:
                for message in context.more():
                    (protected if message.requiretls else waiting).append(message)
    except BaseException:
        session.close()
        raise
    session.end()


def same_for_all(
    messages: Iterable[QueuedMessage],
    reply: Reply,
    remote: str = "",
    command: str = "",
    *,
    unreachable: bool = False,
) -> Iterator[Outcome]:
    result = Result.BOUNCED if reply.is_permanent else Result.DEFERRED
    for message in messages:
        for recipient in message.recipients:
            yield Outcome(
                recipient.id,
                result,
                with_status(reply),
                remote=remote,
                command=command,
                unreachable=unreachable and result is Result.DEFERRED,
            )
