"""What a rule wants to know and has not at hand: a question to the DNS or the directory.

A rule asks by `Facts.answer`. When the answer is not among the facts, `Unanswered` is raised;
whoever called `decide` gets the answers and calls it again. Rules stay pure, nothing is looked
up that no rule asks for, and the simulator can show each answer that was used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mta.protocol.filter_words import ChainVerdict


class Subject(StrEnum):
    """What a question is about; each has one answerer in `mta.answers`."""

    DNS_LIST = "dns_list"
    HOST_NAME = "host_name"
    SENDER_DOMAIN = "sender_domain"
    HELO = "helo"
    SPF = "spf"
    ADDRESS_TROUBLE = "address_trouble"
    AUTH_FAILURES = "auth_failures"
    MAILBOX_ROOM = "mailbox_room"
    SITE_FILTERS = "site_filters"
    MAILBOX_SENDER = "mailbox_sender"
    MAILBOX_CONTENT = "mailbox_content"
    REFUSED_BEFORE = "refused_before"


class Question(NamedTuple):
    """One question; what `about` holds belongs to the subject (see `mta.policy.answers`).

    A tuple, since it is made and looked for again with every message.
    """

    subject: Subject
    about: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.subject} {' '.join(self.about)}".rstrip()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a word of the subject, a text for people, further values.

    `TROUBLE` is the word when there was no answer for now. `seconds` says how long it may be
    used again. `chain` is what site filters said.
    """

    word: str
    text: str = ""
    values: tuple[str, ...] = ()
    seconds: float = 0.0
    chain: ChainVerdict | None = None

    @property
    def is_trouble(self) -> bool:
        return self.word == TROUBLE


TROUBLE = "trouble"


class Unanswered(Exception):
    """A rule needs these answers first."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.questions = tuple(questions)
        super().__init__(", ".join(map(str, self.questions)))
