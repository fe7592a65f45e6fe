"""How much nonsense a session bears, and how slowly it answers (RFC 5321 7.8, 7.9; spec 2.1).

Two budgets, wrong commands and refused recipients, end a session when they are used up. The
tarpit makes each refusal wait twice as long as the one before. Pure counting: who waits and who
hangs up is the session.
"""

from mta.policy.facts import Limits, Policy, SessionFacts
from mta.protocol.reply import Reply

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 8.0
# A client with a long list hears 452 for each recipient too many, and may go on with the others.
DEFERRALS_ALLOWED = 1000


class Patience:
    """That of one session."""

    def __init__(self) -> None:
        self._errors = 0
        self._refused_recipients = 0
        self._deferrals = 0
        self._pause = FIRST_PAUSE

    def wrong(self, reply: Reply) -> None:
        """A command was answered by this error."""
        if reply.is_transient:
            self._deferrals += 1
        else:
            self._errors += 1

    def refused_recipient(self, reply: Reply) -> None:
        """A recipient was refused, or deferred."""
        if reply.is_transient:
            self._deferrals += 1
        else:
            self._refused_recipients += 1

    def is_over(self, limits: Limits) -> bool:
        """Whether one of the budgets is used up."""
        return (
            self._errors >= limits.errors
            or self._refused_recipients >= limits.refused_recipients
            or self._deferrals > DEFERRALS_ALLOWED
        )

    def next_pause(self) -> float:
        """Seconds to wait before the next refusal; the one after waits longer."""
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return pause

    def accepted(self) -> None:
        """A message was taken: the client is worth a quick answer again."""
        self._pause = FIRST_PAUSE


def is_tarpitted(session: SessionFacts, policy: Policy) -> bool:
    """Whether refusals wait. Programs on this host do not, unless their access rule says so."""
    if not policy.terms_for(session.client_ip, session.listener).tarpit:
        return False
    access = policy.access_for(session.client_ip)
    said_so = access is not None and access.terms.get("tarpit") is True
    return said_so or not session.is_loopback
