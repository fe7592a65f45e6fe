"""Step 6, the account transport: mail for the system's users, by their own instructions.

The next hop is the user's name, or "alias:NAME@DOMAIN" for the programs and files of an alias. A
request is for one of them, so it is carried out by one process with that user's rights
(`account_child`): a user's files and commands are never touched with ours. Addresses to forward to
are told with the outcome, and the scheduler queues the message for them. Facts: spec 3.8 to 3.10.
"""

import os
import pwd
import time
from collections.abc import Iterator
from dataclasses import dataclass

from mta.protocol import address, alias_program, maildir, status, verp
from mta.protocol.delivered_to import delivered_to
from mta.protocol.exit_status import Effect
from mta.protocol.local_account import BadLocalPart, candidates
from mta.protocol.reply import Reply
from mta.transports.account_job import Job, Owner, Report
from mta.transports.account_process import Child, ChildFailed, sealed_message
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

# An alias's instructions have no home of their own.
ALIAS_HOME = "/"
MAX_FORWARDS = 1000

_RESULTS = {Effect.STOP: Result.SENT, Effect.FAIL: Result.BOUNCED}
_CODES = {Result.SENT: 250, Result.DEFERRED: 451, Result.BOUNCED: 550}


class Account:
    name = "account"
    priority = 20
    limit = 4
    batch = 20
    pool = Pool.REMOTE
    done = Done.DELIVERED

    def claim(self, address: str, book: AddressBook) -> str | None:
        return book.account(address)

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        if not request.messages:
            return
        try:
            target = _target(request.nexthop, context)
        except _NotPermitted as refusal:
            for message in request.messages:
                for recipient in message.recipients:
                    yield Outcome(recipient.id, refusal.result, refusal.reply)
            return
        with Child(target.owner) as child:
            for message in request.messages:
                if context.stopping():
                    return
                yield from _Letter(message, target, context).deliver(child)


class _NotPermitted(Exception):
    """Nobody of this next hop can be delivered to, by us."""

    def __init__(self, result: Result, reply: Reply) -> None:
        super().__init__(reply.text)
        self.result = result
        self.reply = reply


@dataclass(frozen=True, slots=True)
class _Target:
    """Whose process it is; of an alias also the instructions."""

    owner: Owner
    instructions: str | None = None


def _target(nexthop: str, context: DeliveryContext) -> _Target:
    """Raises _NotPermitted."""
    if not nexthop.startswith(alias_program.HOP):
        return _Target(_owner(nexthop))
    alias = nexthop.removeprefix(alias_program.HOP)
    instructions = context.alias_instructions(alias)
    if not instructions:
        # It was changed a moment ago: at its next attempt the address is routed anew.
        raise _NotPermitted(*_deferral(f"the alias {alias} has no programs and files now"))
    owner = _owner(context.accounts.alias_user, ALIAS_HOME)
    return _Target(owner, "\n".join(instructions))


def _owner(name: str, home: str = "") -> Owner:
    """The system's user, as whom we may deliver. Raises _NotPermitted."""
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError) as error:
        raise _NotPermitted(*_deferral(f"the system knows no user {name} now")) from error
    if found.pw_uid == 0:
        text = "nothing is delivered to root: it needs an alias"
        raise _NotPermitted(Result.BOUNCED, Reply(550, status.BAD_MAILBOX, text))
    if os.geteuid() not in (0, found.pw_uid):
        raise _NotPermitted(*_deferral(f"only a worker that is root can deliver as {name}"))
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    return Owner(found.pw_name, found.pw_uid, found.pw_gid, home or found.pw_dir, groups)


def _deferral(text: str) -> tuple[Result, Reply]:
    return Result.DEFERRED, Reply(451, status.LOCAL_ERROR, text)


class _Letter:
    """One message for its recipients, who are all of one owner."""

    def __init__(self, message: QueuedMessage, target: _Target, context: DeliveryContext) -> None:
        self._message = message
        self._target = target
        self._context = context

    def deliver(self, child: Child) -> Iterator[Outcome]:
        content = self._context.content(self._message.id)
        visited = delivered_to(content)
        try:
            descriptor = sealed_message(content.replace(b"\r\n", b"\n"))
        except OSError as error:
            for recipient in self._message.recipients:
                yield Outcome(recipient.id, *_deferral(f"no room: {error.strerror}"))
            return
        # What lies in the descriptor need not be held twice.
        del content
        try:
            for recipient in self._message.recipients:
                if self._context.stopping():
                    return
                yield self._deliver_one(recipient, visited, descriptor, child)
        finally:
            os.close(descriptor)

    def _deliver_one(
        self, recipient: QueuedRecipient, visited: frozenset[str], message: int, child: Child
    ) -> Outcome:
        own = alias_program.alias_apart(recipient.address) or recipient.address
        if address.wire(own).lower() in visited:
            loop = Reply(554, status.ROUTING_LOOP, "mail loop: it has been here before")
            return Outcome(recipient.id, Result.BOUNCED, loop)
        job = self._job(recipient, own, visited)
        try:
            report = child.carry_out(job, message, lambda: self._context.committing([recipient.id]))
        except ChildFailed as failure:
            return Outcome(recipient.id, *_deferral(str(failure)))
        return _outcome(recipient.id, report)

    def _job(self, recipient: QueuedRecipient, own: str, visited: frozenset[str]) -> Job:
        message, target, accounts = self._message, self._target, self._context.accounts
        reverse_path = message.reverse_path
        if message.verp:
            reverse_path = verp.encode(reverse_path, own)
        return Job(
            address=own,
            extension="" if target.instructions else _extension(own, target.owner.name),
            reverse_path=reverse_path,
            instructions=target.instructions,
            stem=accounts.stem,
            default=accounts.default_delivery,
            dynamic=accounts.dynamic,
            host=self._context.hostname,
            visited=tuple(sorted(visited)),
            key=maildir.delivery_key(message.created_at, message.queue_id, recipient.id),
            repeated=recipient.attempt > 1,
            patience=accounts.timeout,
            at=time.time(),
        )


def _extension(own: str, name: str) -> str:
    """What the address has behind the account's name. An address that was sent to the account by
    other ways than its name has none."""
    local, _ = address.split(own)
    try:
        for candidate in candidates(local):
            if candidate.account.lower() == name.lower():
                return candidate.extension
    except BadLocalPart:
        pass
    return ""


def _outcome(recipient_id: int, report: Report) -> Outcome:
    result = _RESULTS.get(report.effect, Result.DEFERRED)
    forwards = report.forwards if result is Result.SENT else ()
    if len(forwards) > MAX_FORWARDS:
        return Outcome(
            recipient_id, *_deferral(f"more than {MAX_FORWARDS} addresses to forward to")
        )
    try:
        whole = tuple(address.parse(address.wire(each)) for each in forwards)
    except address.AddressError as error:
        return Outcome(recipient_id, *_deferral(f"an address to forward to: {error}"))
    reply = Reply(_CODES[result], report.status, report.text)
    return Outcome(recipient_id, result, reply, forwards=whole)
