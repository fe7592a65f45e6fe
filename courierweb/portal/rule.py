"""What a rule of the builder is: tests, and what is done when they hold."""

import enum
from dataclasses import dataclass


class Field(enum.Enum):
    """What a test looks at."""

    FROM = "from"
    TO = "to"
    SUBJECT = "subject"
    LIST = "list"
    HEADER = "header"
    BODY = "body"
    SIZE = "size"
    ATTACHED = "attached"
    ATTACHMENT_TYPE = "type"
    ATTACHMENT_NAME = "file"
    RECIPIENT = "recipient"
    TAG = "tag"
    DATE = "date"
    TIME = "time"
    WEEKDAY = "weekday"
    SPAM = "spam"


class How(enum.Enum):
    """How a test compares; the first five are words of Sieve."""

    CONTAINS = "contains"
    IS = "is"
    MATCHES = "matches"
    OVER = "over"
    UNDER = "under"
    EXISTS = "exists"
    SINCE = "since"
    UNTIL = "until"


class Do(enum.Enum):
    """What a rule does. TRASH is a folder like any other, kept apart since it throws away."""

    FILE = "file"
    COPY = "copy"
    TRASH = "trash"
    FLAG = "flag"
    LABEL = "label"
    READ = "read"
    FORWARD = "forward"
    REDIRECT = "redirect"
    REFUSE = "refuse"
    DISCARD = "discard"
    KEEP = "keep"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Condition:
    """`values`: one of them is enough. Sizes are written "10M", dates "2026-05-31", times
    "22:00:00", weekdays "0" (Sunday) to "6"."""

    field: Field
    how: How
    values: tuple[str, ...] = ()
    header: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """`value` is the folder, the address, the label or the text of the refusal."""

    do: Do
    value: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """`every`: all tests must hold, else one is enough; without tests it is for every message.

    `note` are the comments before it, as they are written.
    """

    name: str
    tests: tuple[Condition, ...]
    actions: tuple[Action, ...]
    every: bool = True
    enabled: bool = True
    note: str = ""

    @property
    def stops(self) -> bool:
        return any(each.do is Do.STOP for each in self.actions)


@dataclass(frozen=True, slots=True)
class Vacation:
    """An answer to who writes while the owner is away. `since` and `until` are dates, "" for no
    bound; `days` between two answers to the same sender; `addresses` are the owner's others."""

    text: str
    subject: str = ""
    since: str = ""
    until: str = ""
    days: int = 7
    addresses: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Opaque:
    """Sieve that the builder has no form for; it stays as it is, where it is."""

    text: str
