"""Step 1: one session, command by command (RFC 5321 4.1).

The session reads commands, keeps what they said, and puts decisions on record. The verbs
themselves are in the modules that end in `verb` or `verbs`; `vocabulary` is their table.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from django.db import DatabaseError, InterfaceError

from mta import maillog
from mta.ingress import replies, transaction
from mta.ingress.arguments import BadArgument
from mta.ingress.filtering import Filtering
from mta.ingress.house import House, Listener
from mta.ingress.inquiry import Examiner
from mta.ingress.reception import Reception
from mta.ingress.server import Connection, End, Introduction, policy_now
from mta.ingress.transaction import Record, Transaction
from mta.ingress.wire import BareLineEnd, Collected, LineTooLong
from mta.policy.decision import Decision
from mta.policy.facts import Policy
from mta.protocol.reply import Reply

log = logging.getLogger(__name__)

Verb: TypeAlias = "Callable[[Session, str], Awaitable[None]]"

COMMAND_LIMIT = 2048


class Session(Connection):
    """One session. `verbs` are the commands it knows, by name in upper case."""

    def __init__(
        self,
        house: House,
        listener: Listener,
        open_ones: set[Connection],
        verbs: "Mapping[bytes, Verb]",
        introduction: Introduction | None = None,
    ) -> None:
        super().__init__(house, listener, open_ones, introduction)
        self._verbs = verbs
        filtering = Filtering(house.hostname, house.filters, self.allow)
        self.reception = Reception(house, Examiner(house.inquiry), filtering)
        self.transaction: Transaction | None = None
        # What BDAT has brought of its content; None before the first.
        self.chunks: Collected | None = None
        self.history: list[Record] = []
        self.auth_failures = 0

    @property
    def is_idle(self) -> bool:
        return self.transaction is None

    async def greet(self) -> None:
        policy = await self.policy_now()
        await self.introduce(policy)
        decision, _ = await self.reception.connect(self.facts, policy)
        if not decision.accepted:
            self.refused(decision, "")
            self.say(decision.reply)
            raise End
        self.remember(decision, self.facts.client_ip)
        self.say(Reply(220, "", f"{self.house.hostname} ESMTP CourierWeb"))

    async def converse(self) -> None:
        """Read one command and answer it."""
        self._reset_timeout()
        try:
            line = await self.wire.line(COMMAND_LIMIT)
        except LineTooLong:
            return self.complain(replies.LINE_TOO_LONG)
        except BareLineEnd:
            return self.complain(replies.BARE_LINE_END)
        if self.house.stopping and self.transaction is None:
            self.say(replies.SHUTTING_DOWN)
            raise End
        verb, _, argument = line.partition(b" ")
        action = self._verbs.get(verb.upper())
        if action is None:
            return self.complain(replies.UNKNOWN_COMMAND)
        try:
            text = argument.strip().decode("utf-8")
        except UnicodeDecodeError:
            return self.complain(replies.NOT_UTF8)
        try:
            await action(self, text)
        except BadArgument as error:
            self.complain(error.reply)
        except (DatabaseError, InterfaceError) as error:
            log.error("the directory does not answer: %s", error)
            self.say(replies.LOCAL_TROUBLE)

    # --- what the verbs use -----------------------------------------------------------------------

    def end_transaction(self) -> None:
        if self.chunks is not None:
            self.chunks.drop()
            self.chunks = None
        self.transaction = None

    async def policy_now(self) -> Policy:
        """The policy in force; with the database away the last one seen, since MAIL will tell."""
        return await policy_now(self.house)

    # --- the record -------------------------------------------------------------------------------

    def remember(self, decision: Decision, subject: str) -> None:
        """Keep a decision on the session for the history of its messages."""
        self.logged(decision, subject)
        self.history = [*self.history, transaction.decision_record(decision, subject, now())]

    def refused(
        self,
        decision: Decision,
        recipient: str,
        reverse_path: str | None = None,
        message_id: int | None = None,
    ) -> None:
        """Put a refusal on record; `reverse_path` is None before MAIL, `message_id` is that of a
        message that others took."""
        self.logged(decision, recipient, reverse_path)
        record = transaction.refusal_record(decision, self.facts, reverse_path, recipient, now())
        self.house.committer.refused(replace(record, message_id=message_id))
        maillog.refused(
            client_ip=self.facts.client_ip,
            helo=self.facts.helo,
            stage=decision.stage.value,
            reverse_path=reverse_path or "",
            recipient=recipient,
            rule=decision.rule,
            reply=str(decision.reply),
        )

    def logged(self, decision: Decision, recipient: str, reverse_path: str | None = None) -> None:
        """Put on record what the rules that only log would have refused."""
        for step in decision.logged:
            self.house.committer.refused(
                transaction.logged_record(
                    decision, step, self.facts, reverse_path, recipient, now()
                )
            )


def now() -> datetime:
    return datetime.now(UTC)
