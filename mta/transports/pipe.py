"""The pipe transport: mail that a route hands to a program of the administrator (step 6).

What an end means (spec 3.8, with one difference): 0 and 99 are success; 64, 65, 67 to 70, 76 to
78, 100 and 112 fail the mail; 75 and whatever nobody foresaw, 127 for a missing program among
them, defer it. A program that a signal ended is deferred, where a user's own command fails: it
has crashed or exceeded its limits, which says nothing about the mail. So is one that did not end
in time. What it printed tells why; a status of RFC 3463 at its beginning replaces the table's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mta.protocol import exit_status, status, verp
from mta.protocol.exit_status import Effect
from mta.protocol.program import Envelope, Program, UnsafeArgument, arguments_for, content_for
from mta.protocol.reply import Reply, parse_reply
from mta.protocol.route_target import split_target
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
from mta.transports.delivery_command import (
    Account,
    Ended,
    NotPermittedError,
    account,
    run_limited,
)

_PREFIX = "pipe:"
_CODES = {Result.SENT: 250, Result.DEFERRED: 451, Result.BOUNCED: 550}
_RESULTS = {
    Effect.CONTINUE: Result.SENT,
    Effect.STOP: Result.SENT,
    Effect.DEFER: Result.DEFERRED,
    Effect.FAIL: Result.BOUNCED,
}


class Pipe:
    name = "pipe"
    priority = 30
    limit = 0
    batch = 50
    pool = Pool.REMOTE
    done = Done.DELIVERED

    def claim(self, address: str, book: AddressBook) -> str | None:
        nexthop = book.nexthop(address)
        return nexthop if nexthop.startswith(_PREFIX) else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        name = split_target(request.nexthop)[1]
        program = context.program(name)
        owner = account(program.user) if program else None
        for message in request.messages:
            if context.stopping():
                return
            if program is None or not program.enabled:
                state = "switched off" if program else "gone"
                yield from _unusable(message, f"the program {name!r} is {state}")
            elif owner is None:
                yield from _unusable(message, f"there is no system account {program.user!r}")
            else:
                yield from _hand_over(message, program, owner, context)


def _hand_over(
    message: QueuedMessage, program: Program, owner: Account, context: DeliveryContext
) -> Iterator[Outcome]:
    groups = (
        [(recipient,) for recipient in message.recipients]
        if program.separately
        else [message.recipients]
    )
    for recipients in groups:
        if not recipients or context.stopping():
            return
        result, reply = _run(message, recipients, program, owner, context)
        for recipient in recipients:
            yield Outcome(recipient.id, result, reply, command=program.arguments[0])


def _run(
    message: QueuedMessage,
    recipients: Sequence[QueuedRecipient],
    program: Program,
    owner: Account,
    context: DeliveryContext,
) -> tuple[Result, Reply]:
    """One run of the program, for these recipients."""
    envelope = Envelope(
        _reverse_path(message, recipients),
        tuple(recipient.address for recipient in recipients),
        message.queue_id,
        message.size,
        message.created_at,
    )
    try:
        arguments = arguments_for(program, envelope)
    except UnsafeArgument as error:
        return Result.BOUNCED, Reply(553, status.BAD_ADDRESS_SYNTAX, str(error))
    text = content_for(program, envelope, context.content(message.id))
    context.committing(recipient.id for recipient in recipients)
    try:
        ended = run_limited(
            arguments, owner, {}, text, program.timeout, program.cpu, program.memory
        )
        return _verdict(ended, program)
    except NotPermittedError as error:
        return Result.DEFERRED, Reply(451, "4.3.5", str(error))
    except OSError as error:
        text_of = error.strerror or type(error).__name__
        return Result.DEFERRED, _local_error(f"the program cannot be started: {text_of}")


def _reverse_path(message: QueuedMessage, recipients: Sequence[QueuedRecipient]) -> str:
    if message.verp and len(recipients) == 1:
        return verp.encode(message.reverse_path, recipients[0].address)
    return message.reverse_path


def _verdict(ended: Ended, program: Program) -> tuple[Result, Reply]:
    said = _printable(ended.output)
    if ended.code is None:
        text = f"the program did not end within {program.timeout:g} seconds"
        return Result.DEFERRED, _local_error(f"{text}: {said}" if said else text)
    if ended.code < 0:
        text = f"the program was ended by signal {-ended.code}"
        return Result.DEFERRED, _local_error(f"{text}: {said}" if said else text)
    result = _RESULTS[exit_status.effect(ended.code)]
    if result is Result.SENT:
        default = f"delivered to the program {program.name}"
    else:
        default = f"the program ended with code {ended.code}"
    reply = parse_reply(_CODES[result], [said or default])
    return result, replace(
        reply,
        status=reply.status or exit_status.enhanced_status(ended.code),
        text=reply.text or default,
    )


def _local_error(text: str) -> Reply:
    return Reply(451, status.LOCAL_ERROR, text)


def _printable(output: bytes) -> str:
    """One line, without what would do something to a terminal."""
    line = " ".join(output.decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "?" for char in line)


def _unusable(message: QueuedMessage, text: str) -> Iterator[Outcome]:
    """Nothing was tried, and no mail for this program needs to be for a while."""
    reply = Reply(451, "4.3.5", text)
    for recipient in message.recipients:
        yield Outcome(recipient.id, Result.DEFERRED, reply, unreachable=True)
