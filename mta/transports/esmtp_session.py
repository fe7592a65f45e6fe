"""Step 6, ESMTP and LMTP: what an open session does with a message.

`mta.transports.esmtp_batches` says which transactions a message takes; a peer that takes only a
few recipients at a time makes them more.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from mta.protocol import status
from mta.protocol.line_limit import within_limits
from mta.protocol.reply import Reply
from mta.protocol.seven_bit import CannotConvert, to_seven_bit
from mta.protocol.smtp_client import Answer, Transaction
from mta.protocol.smtp_stream import SmtpError
from mta.protocol.wire_content import with_crlf
from mta.transports.base import DeliveryContext, Outcome, QueuedMessage, QueuedRecipient, Result
from mta.transports.esmtp_auth import not_signed_in
from mta.transports.esmtp_batches import (
    Batch,
    batches,
    commands,
    final_batches,
    needs_smtputf8,
)
from mta.transports.esmtp_connect import Connection

_KEPT_REPLY_LINES = 10
_RESULTS = {2: Result.SENT, 4: Result.DEFERRED, 5: Result.BOUNCED}


class Session:
    """An open connection and the outcomes it gives.

    `open` turns false when the peer is gone or said 421. `fruitful` says that the peer answered
    at least one transaction. `unsent` then holds recipients of the last message that no
    transaction was tried for, so that another connection may take them.
    """

    def __init__(self, connection: Connection, context: DeliveryContext) -> None:
        self._connection = connection
        self._client = connection.client
        self._context = context
        self.open = True
        self.fruitful = False
        self.unsent: QueuedMessage | None = None

    def deliver(self, message: QueuedMessage) -> Iterator[Outcome]:
        """One outcome for each recipient, except for those left in `unsent`."""
        content = self._context.content(message.id)
        refused, ready = self._sort_out(message, content)
        yield from refused
        if ready:
            try:
                content = self._transmissible(content)
            except CannotConvert as error:
                reply = Reply(554, status.NO_8BIT, f"the peer takes no 8-bit mail: {error}")
                yield from (self._outcome(recipient, reply) for recipient in ready)
                return
        if self._connection.is_final:
            waiting = deque(final_batches(message, ready))
        else:
            waiting = deque(batches(message, ready, self._client.offered))
        while waiting and self.open:
            batch = waiting.popleft()
            later = yield from self._transaction(message, batch, content)
            if later:
                waiting.appendleft(replace(batch, recipients=later))
        left = tuple(recipient for batch in waiting for recipient in batch.recipients)
        self.unsent = replace(message, recipients=left) if left else None

    def end(self) -> None:
        if self.open:
            self._client.quit()
        else:
            self._client.close()

    def close(self) -> None:
        """Drop the connection at once; content that is under way is not complete then."""
        self.open = False
        self._client.close()

    def _sort_out(
        self, message: QueuedMessage, content: bytes
    ) -> tuple[list[Outcome], list[QueuedRecipient]]:
        """Bounces for recipients that this peer cannot understand, and the other recipients."""
        if "SMTPUTF8" in self._client.offered:
            return [], list(message.recipients)
        reply = Reply(553, status.NEEDS_SMTPUTF8, "the peer does not support SMTPUTF8")
        # Behind a server of mailboxes there is nobody who could stumble over a raw header.
        whole = not self._connection.is_final and needs_smtputf8(message, content)
        whole = whole or not message.reverse_path.isascii()
        outcomes: list[Outcome] = []
        ready: list[QueuedRecipient] = []
        for recipient in message.recipients:
            if whole or not recipient.address.isascii():
                outcomes.append(self._outcome(recipient, reply))
            else:
                ready.append(recipient)
        return outcomes, ready

    def _transmissible(self, content: bytes) -> bytes:
        """The content in a form that this peer can take. Raises CannotConvert."""
        content = with_crlf(content)
        if "8BITMIME" not in self._client.offered:
            content = to_seven_bit(content)
        return within_limits(content)

    def _transaction(
        self, message: QueuedMessage, batch: Batch, content: bytes
    ) -> Generator[Outcome, None, list[QueuedRecipient]]:
        """Outcomes of one transaction; returns the recipients that another one must take."""
        ledger = _Ledger(batch.recipients)
        words = commands(message, batch, self._client.offered, content)
        try:
            transaction = self._client.transaction(
                words.mail, words.recipients, words.verdicts, chunked=words.chunked
            )
            for answer in transaction.answers():
                ledger.command = answer.command
                yield from self._on_answer(answer, transaction, ledger)
            if transaction.accepted:
                ledger.command = "BDAT" if words.chunked else "DATA"
                yield from self._on_content(content, transaction, ledger)
        except SmtpError as error:
            self.close()
            if self.fruitful and not ledger.begun:
                return ledger.later + ledger.open_recipients()
            yield from self._lost(error, ledger)
        return ledger.later

    def _on_answer(
        self, answer: Answer, transaction: Transaction, ledger: "_Ledger"
    ) -> Iterator[Outcome]:
        """What the reply to RCPT, or a refused MAIL, means for one recipient."""
        recipient = ledger.recipients[answer.index]
        closing = answer.reply.code == 421
        if closing:
            self.open = False
        before_all = answer.command.startswith("MAIL")
        if closing and before_all and self.fruitful:
            ledger.postpone(recipient)
            return
        ledger.begun = True
        if answer.reply.is_positive:
            return
        self.fruitful = self.fruitful or not closing
        if transaction.accepted and _is_too_many(answer.reply):
            ledger.postpone(recipient)
            return
        ledger.report(recipient)
        yield self._outcome(recipient, answer.reply, answer.command)

    def _on_content(
        self, content: bytes, transaction: Transaction, ledger: "_Ledger"
    ) -> Iterator[Outcome]:
        accepted = [ledger.recipients[index] for index in transaction.accepted]

        def commit() -> None:
            self._context.committing([recipient.id for recipient in accepted])
            ledger.uncertain = True

        closing = True
        replies = transaction.content(content, commit)
        for recipient, reply in zip(accepted, replies, strict=True):
            self.fruitful = True
            # With a verdict for each recipient, a 421 for one of them closes nothing.
            closing = closing and reply.code == 421
            ledger.report(recipient)
            yield self._outcome(recipient, reply, ledger.command)
        if closing:
            self.open = False

    def _lost(self, error: SmtpError, ledger: "_Ledger") -> Iterator[Outcome]:
        text = f"{error} (after the final dot)" if ledger.uncertain else str(error)
        reply = Reply(error.code, error.status, text)
        for recipient in ledger.open_recipients():
            yield self._outcome(recipient, reply, ledger.command)

    def _outcome(self, recipient: QueuedRecipient, reply: Reply, command: str = "") -> Outcome:
        reply = not_signed_in(reply) if self._connection.is_relay else reply
        result = _RESULTS[reply.code // 100]
        will_report = self._connection.is_final or "DSN" in self._client.offered
        return Outcome(
            recipient.id,
            result,
            with_status(reply),
            remote=self._connection.remote,
            tls=self._connection.tls,
            command=command,
            final=result is not Result.SENT or will_report,
        )


class _Ledger:
    """Which recipients of a transaction still wait for their result, and how far it went."""

    def __init__(self, recipients: Sequence[QueuedRecipient]) -> None:
        self.recipients = recipients
        self.command = "MAIL"
        self.begun = False
        self.uncertain = False
        self.later: list[QueuedRecipient] = []
        self._open = {recipient.id: recipient for recipient in recipients}

    def report(self, recipient: QueuedRecipient) -> None:
        del self._open[recipient.id]

    def postpone(self, recipient: QueuedRecipient) -> None:
        """For a transaction of its own, after this one."""
        del self._open[recipient.id]
        self.later.append(recipient)

    def open_recipients(self) -> list[QueuedRecipient]:
        return list(self._open.values())


def with_status(reply: Reply) -> Reply:
    """The reply for the record: with an enhanced status in any case, and not endless."""
    lines = reply.text.split("\n")[:_KEPT_REPLY_LINES]
    return Reply(reply.code, reply.status or f"{reply.code // 100}.0.0", "\n".join(lines))


def _is_too_many(reply: Reply) -> bool:
    """452 also says "out of space"; the enhanced status tells, where there is one."""
    return reply.code == 452 and reply.status in ("", status.TOO_MANY_RECIPIENTS)
