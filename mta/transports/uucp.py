"""The uucp transport: mail for our neighbours in the world of UUCP, left with uux(1) (step 6).

    uucp:food!fruits        the next hop: `rmail` runs at fruits, on a way that begins with food

When uux has the message in its spool it is UUCP's: the recipient is relayed. The program is the one
of the system's UUCP package.
"""

import os
import shutil
from collections.abc import Iterator, Sequence

from mta.protocol import exit_status, status, uux, verp
from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER
from mta.protocol.exit_status import Effect
from mta.protocol.reply import Reply
from mta.protocol.uux import MAX_RECIPIENTS, UnsafeWord
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
from mta.transports.delivery_command import Ended, account, run_tool

# Seconds that uux may take: it only writes files.
PATIENCE = 120.0
_PREFIX = "uucp:"
_OWNER = "uucp"
_MOST_SAID = 500


class Uucp:
    """`program` and `patience` are for tests."""

    name = "uucp"
    priority = 5
    limit = 4
    batch = 100
    pool = Pool.REMOTE
    done = Done.RELAYED

    def __init__(self, program: str = "uux", patience: float = PATIENCE) -> None:
        self._program = program
        self._patience = patience

    def claim(self, address: str, book: AddressBook) -> str | None:
        nexthop = book.nexthop(address)
        return nexthop if nexthop.startswith(_PREFIX) else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        """Raises ValueError for a next hop that names no host."""
        system = request.nexthop.removeprefix(_PREFIX)
        uux.harmless(system)
        for message in request.messages:
            safe, refused = _sorted_out(message, system, context)
            yield from refused
            for reverse_path, recipients in _runs(message, safe):
                if context.stopping():
                    return
                yield from self._run(message, system, reverse_path, recipients, context)

    def _run(
        self,
        message: QueuedMessage,
        system: str,
        reverse_path: str,
        recipients: Sequence[QueuedRecipient],
        context: DeliveryContext,
    ) -> Iterator[Outcome]:
        """One job for up to MAX_RECIPIENTS."""
        program = shutil.which(self._program)
        if program is None:
            reply = Reply(451, "4.3.5", "UUCP is not installed here: there is no uux")
            yield from _same_for_all(recipients, Result.DEFERRED, reply, unreachable=True)
            return
        addresses = [each.address for each in recipients]
        content = context.content(message.id)
        try:
            words = uux.arguments(context.uux, system, reverse_path, addresses)
            text = uux.message(context.uux, system, reverse_path, message.created_at, content)
        except UnsafeWord as error:
            reply = Reply(550, "5.1.7", f"the sender's address: {error}")
            yield from _same_for_all(recipients, Result.BOUNCED, reply)
            return
        context.committing([each.id for each in recipients])
        runner = account(_OWNER) if os.geteuid() == 0 else None
        try:
            ended = run_tool(program, words, runner, text, self._patience)
        except OSError as error:
            reply = Reply(451, "4.3.5", f"uux cannot be started: {error.strerror}")
            yield from _same_for_all(recipients, Result.DEFERRED, reply, unreachable=True)
            return
        yield from _same_for_all(recipients, *_judged(ended, system))


def _sorted_out(
    message: QueuedMessage, system: str, context: DeliveryContext
) -> tuple[list[QueuedRecipient], list[Outcome]]:
    """(recipients that may be arguments, outcomes of those that may not)."""
    safe: list[QueuedRecipient] = []
    refused: list[Outcome] = []
    for recipient in message.recipients:
        try:
            uux.harmless(context.uux.town.at(system, recipient.address))
            safe.append(recipient)
        except UnsafeWord as error:
            reply = Reply(553, status.BAD_ADDRESS_SYNTAX, str(error))
            refused.append(Outcome(recipient.id, Result.BOUNCED, reply))
    return safe, refused


def _runs(
    message: QueuedMessage, recipients: Sequence[QueuedRecipient]
) -> Iterator[tuple[str, Sequence[QueuedRecipient]]]:
    """(reverse-path, recipients) of each run; with VERP everybody has one of his own."""
    if message.verp and verp.is_possible(message.reverse_path):
        for each in recipients:
            yield verp.encode(message.reverse_path, each.address), [each]
        return
    # Our own mark for "never report" is no address to anybody else.
    nobody = message.reverse_path == DOUBLE_BOUNCE_SENDER
    for start in range(0, len(recipients), MAX_RECIPIENTS):
        batch = recipients[start : start + MAX_RECIPIENTS]
        yield "" if nobody else message.reverse_path, batch


def _judged(ended: Ended, system: str) -> tuple[Result, Reply]:
    """What the end of uux means. A signal or a time limit says nothing about the mail."""
    said = " ".join(ended.output.decode("utf-8", "replace").split())
    said = "".join(char for char in said if char.isprintable())[:_MOST_SAID]
    if ended.code == 0:
        return Result.SENT, Reply(250, status.SUCCESS, f"left with UUCP for {system}: {said}")
    if ended.code is None:
        return Result.DEFERRED, Reply(451, "4.3.0", f"uux did not end in time: {said}")
    if ended.code < 0:
        return Result.DEFERRED, Reply(451, "4.3.0", f"uux was ended by signal {-ended.code}")
    text = f"uux ended with status {ended.code}: {said}"
    if exit_status.effect(ended.code) is Effect.FAIL:
        return Result.BOUNCED, Reply(550, exit_status.enhanced_status(ended.code), text)
    return Result.DEFERRED, Reply(451, "4.3.0", text)


def _same_for_all(
    recipients: Sequence[QueuedRecipient],
    result: Result,
    reply: Reply,
    *,
    unreachable: bool = False,
) -> Iterator[Outcome]:
    for each in recipients:
        # UUCP reports nothing by itself, so that "relayed" is ours to say.
        yield Outcome(
            each.id, result, reply, final=result is not Result.SENT, unreachable=unreachable
        )
