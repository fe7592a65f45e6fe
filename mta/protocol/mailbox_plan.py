"""What the rules of a mailbox want done with one message, as the local transport is told (step 6).

The transport makes the files. What besides them needs the queue or the database is the
`FollowUp`, which the scheduler has carried out before it records the recipient as delivered.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

INBOX = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy in a folder, "" for the inbox, with "/" between levels. `flags` are IMAP flags."""

    folder: str = INBOX
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that did something; `line` is that of the command, which tells two apart."""

    rule: str
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A vacation reply: once in `seconds` to one `sender` for one `handle`."""

    sender: str
    handle: str
    seconds: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification by mail (RFC 5436). `line` tells two of one script apart."""

    address: str
    line: int
    content: bytes


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What belongs to a delivery besides its files. Repeating it does no harm.

    `seen` are keys of `duplicate` with the seconds for which they are remembered, `troubles` what
    the owner is told, at most once a day for the same: (what it is about, sentence). `unconfirmed`
    are addresses elsewhere that must agree before anything is forwarded to them.
    """

    mailbox: str
    hits: tuple[Hit, ...] = ()
    answers: tuple[Answer, ...] = ()
    notices: tuple[Notice, ...] = ()
    seen: tuple[tuple[str, int], ...] = ()
    troubles: tuple[tuple[str, str], ...] = ()
    unconfirmed: tuple[str, ...] = ()

    @property
    def is_something(self) -> bool:
        return bool(self.hits or self.answers or self.notices or self.seen or self.troubles)


@dataclass(frozen=True, slots=True)
class MailboxPlan:
    """What becomes of a message in one mailbox.

    `forwards` get it in the recipient's place or besides. `refusal` is the text of a rejection,
    "" for none, when there is nobody left in a session who could be told. `content` is the message
    as the script has edited it (CRLF), None for as it was. `discarded_by` names the rule when there
    is neither a copy nor a forward.
    """

    copies: tuple[Copy, ...] = (Copy(),)
    forwards: tuple[str, ...] = ()
    refusal: str = ""
    content: bytes | None = None
    discarded_by: str = ""
    follow_up: FollowUp | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it is about to be delivered to a mailbox. `content` has CRLF line ends.

    `has_folder` says whether the mailbox has a folder. `created_at` is in seconds since the epoch.
    """

    message_id: int
    recipient_id: int
    recipient: str
    original_recipient: str
    reverse_path: str
    content: bytes
    created_at: float
    has_folder: Callable[[str], bool] = field(default=lambda folder: False)


class MailboxRules(Protocol):
    """The rules of one mailbox."""

    def plan(self, incoming: Incoming) -> MailboxPlan:
        """Never raises for what the script does; a database that is away is an OperationalError."""
