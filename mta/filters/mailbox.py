"""From what a mailbox's script asks for to what is done at delivery (step 6): pure.

The script has been judged in the session already where it can refuse; here all the rest of it
counts. Whatever goes wrong, the message stays in the inbox.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mta.filters import vacation
from mta.filters.notice import notification
from mta.filters.rule_names import RuleNames
from mta.filters.sieve.actions import (
    Action,
    Discard,
    FileInto,
    Keep,
    Notify,
    Redirect,
    Reject,
    Vacation,
)
from mta.filters.sieve.evaluate import Result
from mta.protocol import address as addresses
from mta.protocol.mailbox_plan import (
    INBOX,
    Answer,
    Copy,
    FollowUp,
    Hit,
    Incoming,
    MailboxPlan,
    Notice,
)

MAX_REJECTION = 1000
MAX_NOTICES = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known beside the message. `mailbox` is its address, `hostname` our own name.

    `may_forward(address)` says whether the owner may have his mail sent there. `was_judged` says
    that a session has asked the script already, so that a refusal of now comes too late.
    `at` is now, in seconds since the epoch.
    """

    mailbox: str
    hostname: str
    at: float
    names: RuleNames
    may_forward: Callable[[str], bool]
    was_judged: bool


def plan(result: Result, incoming: Incoming, standing: Standing) -> MailboxPlan:
    """What is to be done by a script's result."""
    if result.error:
        trouble = ("script", f"your filter script could not be run to its end: {result.error}")
        return MailboxPlan(follow_up=FollowUp(standing.mailbox, troubles=(trouble,)))
    return _Planning(result, incoming, standing).made()


class _Planning:
    def __init__(self, result: Result, incoming: Incoming, standing: Standing) -> None:
        self._result = result
        self._incoming = incoming
        self._standing = standing
        self._copies: list[Copy] = []
        self._forwards: dict[str, None] = {}
        self._hits: list[Hit] = []
        self._answers: list[Answer] = []
        self._notices: list[Notice] = []
        self._troubles: list[tuple[str, str]] = []
        self._unconfirmed: list[str] = []
        self._refusal = ""
        self._discarded_by = ""

    def made(self) -> MailboxPlan:
        for action in self._result.actions:
            self._take(action)
        return MailboxPlan(
            copies=tuple(self._copies),
            forwards=tuple(self._forwards),
            refusal=self._refusal,
            content=self._result.content,
            discarded_by=self._discarded_by,
            follow_up=FollowUp(
                self._standing.mailbox,
                tuple(self._hits),
                tuple(self._answers),
                tuple(self._notices),
                self._result.seen,
                tuple(self._troubles),
                tuple(self._unconfirmed),
            ),
        )

    def _take(self, action: Action) -> None:
        match action:
            case Keep(flags=flags):
                self._keep(action, flags)
            case FileInto(folder=folder, flags=flags):
                self._copies.append(Copy(_without_inbox(folder), flags))
                self._hit(action, f"filed into {folder}")
            case Discard():
                self._discarded_by = self._discarded_by or self._rule(action)
                self._hit(action, "discarded")
            case Redirect(address=address):
                self._redirect(action, address)
            case Reject(text=text):
                self._reject(action, text)
            case Vacation():
                self._answer(action)
            case Notify():
                self._notify(action)

    def _keep(self, action: Keep, flags: tuple[str, ...]) -> None:
        self._copies.append(Copy(INBOX, flags))
        if action.line:
            self._hit(action, "kept in the inbox")

    def _redirect(self, action: Redirect, text: str) -> None:
        try:
            address = addresses.parse(text)
        except addresses.AddressError as error:
            self._keep_instead(f"forward {text}", f'mail cannot be forwarded to "{text}": {error}')
            return
        if address.lower() == self._standing.mailbox:
            # It would come round as a loop, and its sender would get a report.
            self._keep_instead("", "")
        elif not self._standing.may_forward(address):
            self._keep_instead(
                f"forward {address}",
                f"mail is not forwarded to {address} before its owner has agreed to that by mail",
            )
            self._unconfirmed.append(address)
        else:
            self._forwards[address] = None
            self._hit(action, f"forwarded to {address}")

    def _reject(self, action: Reject, text: str) -> None:
        """RFC 5429: nothing goes to the null sender, and nothing out to who is likely forged: what
        came by a session was refused there, or is kept."""
        if self._incoming.reverse_path and not self._standing.was_judged:
            self._refusal = text.strip()[:MAX_REJECTION] or "the recipient refuses the message"
            self._hit(action, "rejected")
        else:
            self._keep_instead("", "")
            self._hit(action, "not rejected any more, kept in the inbox")

    def _answer(self, action: Vacation) -> None:
        answer = vacation.answer(
            action,
            self._incoming,
            self._standing.mailbox,
            self._standing.hostname,
            self._standing.at,
        )
        if answer is not None:
            self._answers.append(answer)
            self._hit(action, f"answered to {answer.sender}")

    def _notify(self, action: Notify) -> None:
        if len(self._notices) >= MAX_NOTICES:
            return
        notice = notification(
            action,
            self._incoming,
            self._standing.mailbox,
            self._standing.hostname,
            self._standing.at,
        )
        if notice is not None:
            self._notices.append(notice)
            self._hit(action, f"notified {notice.address}")

    def _keep_instead(self, subject: str, sentence: str) -> None:
        self._copies.append(Copy())
        if sentence:
            self._troubles.append((subject, sentence))

    def _rule(self, action: Action) -> str:
        return self._standing.names.at(action.line)

    def _hit(self, action: Action, what: str) -> None:
        self._hits.append(Hit(self._rule(action), action.line, what))


def _without_inbox(folder: str) -> str:
    """The inbox by its IMAP name is the inbox."""
    return INBOX if folder.lower() == "inbox" else folder
