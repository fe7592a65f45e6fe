"""From an outcome to the recipient's new life: pure, so that every case is a line in a test."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mta.models import Attempt, State
from mta.protocol import status
from mta.protocol.reply import Reply
from mta.queue.lease import LeasedRecipient
from mta.queue.outcomes import Settlement
from mta.scheduler.backoff import Backoff
from mta.transports.base import Done, Outcome, Result

_STATES = {
    Done.DELIVERED: State.DELIVERED,
    Done.RELAYED: State.RELAYED,
    Done.DISCARDED: State.DISCARDED,
}


@dataclass(frozen=True, slots=True)
class Judge:
    """Settles the outcomes of one batch. `done` is what a recipient has become that was
    sent, `now` is aware UTC, `backoff` is that of an address.

    `backuprelay` is the next hop that takes over what another host has not taken within
    warntime (Courier's backuprelay), "" for none.
    """

    done: Done
    backoff: Callable[[str], Backoff]
    now: datetime
    backuprelay: str = ""

    def settle(self, recipient: LeasedRecipient, outcome: Outcome) -> Settlement:
        """The new state of the recipient, its next attempt and the report that is due."""
        if outcome.result is Result.SENT:
            return self._sent(recipient, outcome)
        if outcome.result is Result.BOUNCED:
            return self._finish(recipient, outcome, State.FAILED, _wish(recipient, "FAILURE"))
        if self.now >= recipient.expires_at:
            return self._finish(recipient, outcome, State.EXPIRED, _wish(recipient, "FAILURE"))
        return self._defer(recipient, outcome)

    def _sent(self, recipient: LeasedRecipient, outcome: Outcome) -> Settlement:
        state = _STATES[self.done]
        report = ""
        if "SUCCESS" in recipient.notify:
            if state is State.DELIVERED:
                report = "delivered"
            elif state is State.RELAYED and not outcome.final:
                report = "relayed"
        return self._finish(recipient, outcome, state, report)

    def _finish(
        self, recipient: LeasedRecipient, outcome: Outcome, state: State, report: str
    ) -> Settlement:
        return self._settlement(recipient, outcome, state, report=report)

    def _defer(self, recipient: LeasedRecipient, outcome: Outcome) -> Settlement:
        warn = recipient.warn_at is not None and self.now >= recipient.warn_at
        if warn and self.backuprelay and not recipient.pinned:
            # The relay is tried at once, and the sender hears of no delay (spec 4.1).
            return self._settlement(
                recipient,
                outcome,
                State.QUEUED,
                report="",
                warned=True,
                next_attempt=self.now,
                pin=self.backuprelay,
            )
        report = "delayed" if warn and _wish(recipient, "DELAY") else ""
        return self._settlement(
            recipient,
            outcome,
            State.QUEUED,
            report=report,
            warned=warn,
            next_attempt=self.now + self.backoff(recipient.address).delay(recipient.attempts),
        )

    def _settlement(
        self,
        recipient: LeasedRecipient,
        outcome: Outcome,
        state: State,
        *,
        report: str,
        warned: bool = False,
        next_attempt: datetime | None = None,
        pin: str = "",
    ) -> Settlement:
        return Settlement(
            recipient_id=recipient.id,
            message_id=recipient.message_id,
            number=recipient.attempts,
            state=state,
            result=Attempt.Result(outcome.result.value),
            reply=str(outcome.reply),
            next_attempt=next_attempt,
            report=report,
            warned=warned,
            remote=outcome.remote,
            tls=outcome.tls,
            command=outcome.command,
            pin=pin,
        )


def deferred(recipient_id: int, text: str, code: str = status.LOCAL_ERROR) -> Outcome:
    """What the scheduler says of a recipient that the transport did not report."""
    return Outcome(recipient_id, Result.DEFERRED, Reply(451, code, text))


def unreachable(recipient_id: int, reply: str) -> Outcome:
    """For a recipient that waits for a destination which somebody else just found away."""
    text = f"the destination cannot be reached: {reply}"
    return Outcome(recipient_id, Result.DEFERRED, Reply(451, "4.4.1", text), unreachable=True)


def bounced(recipient_id: int, reply: Reply) -> Outcome:
    return Outcome(recipient_id, Result.BOUNCED, reply)


def _wish(recipient: LeasedRecipient, kind: str) -> str:
    """The report due for a failure or delay: by default both are wanted (RFC 3461 4.1)."""
    wanted = not recipient.notify or kind in recipient.notify.split(",")
    return {"FAILURE": "failed", "DELAY": "delayed"}[kind] if wanted else ""
