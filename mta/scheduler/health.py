"""Step 7, the destination's side: what the outcomes of a batch say about the next hop itself."""

from dataclasses import dataclass

from mta.protocol.reply import Reply
from mta.queue.destinations import Health
from mta.transports.base import Outcome, Result

# RFC 3463: policy, "system not accepting network messages", congestion. A greylisting peer also
# says 4.7.1; fewer sessions do it no harm, and one success takes a step back.
_THROTTLING = ("4.7.", "4.3.2", "4.4.5")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`pause` says that no session came about, so that others need not try for a while."""

    health: Health
    reply: str
    pause: bool = False


class Impression:
    """Gathers outcomes; the worst of what they show counts, unless a session came about."""

    def __init__(self) -> None:
        self._answered = ""
        self._throttled = ""
        self._unreachable: Reply | None = None

    def add(self, outcome: Outcome) -> None:
        if outcome.unreachable:
            self._unreachable = outcome.reply
        elif is_throttling(outcome.reply) and outcome.command:
            self._throttled = str(outcome.reply)
        elif outcome.result is Result.SENT or outcome.command:
            self._answered = str(outcome.reply)

    def verdict(self) -> Verdict | None:
        """None when nothing was learnt."""
        if self._throttled:
            return Verdict(Health.THROTTLED, self._throttled)
        if self._answered:
            return Verdict(Health.OK, self._answered)
        if self._unreachable is None:
            return None
        # Who greets with 421 is there, and has too many of us or of others.
        there = self._unreachable.code == 421
        health = Health.THROTTLED if there else Health.DOWN
        return Verdict(health, str(self._unreachable), pause=True)


def is_throttling(reply: Reply) -> bool:
    if reply.code == 421:
        return True
    return 400 <= reply.code < 500 and reply.status.startswith(_THROTTLING)
