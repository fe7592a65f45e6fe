"""What each subject's question holds, and the words in which it is answered.

Rules make their questions here; `mta.answers` answers them.
"""

from enum import StrEnum

from mta.policy.question import Answer, Question, Subject
from mta.protocol.filter_words import ChainVerdict
from mta.protocol.site_filter import FilterStage
from mta.protocol.spf import Identity, Result, SpfResult


class Listed(StrEnum):
    """DNS_LIST: `values` are the list's A answers, `text` its reason."""

    YES = "listed"
    NO = "not listed"


class Trouble(StrEnum):
    """ADDRESS_TROUBLE: `values` is the address in trouble, `text` the reply it got."""

    NONE = "none"
    DEFERRED = "deferred"
    FAILED = "failed"


class Room(StrEnum):
    """MAILBOX_ROOM: `text` says in octets what is used."""

    FITS = "fits"
    FULL = "full"


class OwnersWord(StrEnum):
    """MAILBOX_SENDER and MAILBOX_CONTENT: `text` names the rule that said it, the only one of
    `values` is what a client is told who is refused."""

    NOTHING = "nothing"
    TAKE = "take"
    JUDGE = "judge"
    REFUSE = "refuse"


class RefusedBefore(StrEnum):
    """REFUSED_BEFORE: `text` is who it was."""

    NO = "no"
    YES = "yes"


def dns_list(client_ip: str, zone: str) -> Question:
    return Question(Subject.DNS_LIST, (client_ip, zone))


def host_name(client_ip: str) -> Question:
    """Words of `mta.protocol.host_name.NameState`; `text` is the name the client's address has."""
    return Question(Subject.HOST_NAME, (client_ip,))


def sender_domain(domain: str) -> Question:
    """Words of `mta.protocol.sender_domain.DomainOutcome`; `values` are its hosts' addresses."""
    return Question(Subject.SENDER_DOMAIN, (domain,))


def helo(name: str, client_ip: str) -> Question:
    """Words of `mta.protocol.sender_domain.HeloOutcome`."""
    return Question(Subject.HELO, (name.lower(), client_ip))


def spf(identity: Identity, client_ip: str, helo_name: str, sender: str = "") -> Question:
    """Words of `mta.protocol.spf.Result`; `spf_result` makes the whole of it."""
    return Question(Subject.SPF, (identity.value, client_ip, helo_name, sender))


def address_trouble(addresses: tuple[str, ...]) -> Question:
    """Whether one of them failed or was deferred lately."""
    return Question(Subject.ADDRESS_TROUBLE, addresses)


def auth_failures(client_ip: str) -> Question:
    """How often sign-in from there failed lately; the word is the number."""
    return Question(Subject.AUTH_FAILURES, (client_ip,))


def mailbox_room(address: str, quota: int, size: int) -> Question:
    """Whether so many octets fit into the mailbox; 0 is no quota."""
    return Question(Subject.MAILBOX_ROOM, (address, str(quota), str(size)))


def site_filters(stage: FilterStage, subject: str = "") -> Question:
    """What the site filters of a stage say; `subject` tells the questions of a session apart.

    The session asks them itself: the answer is about its mail, and no other's.
    """
    return Question(Subject.SITE_FILTERS, (stage.value, subject))


def site_filters_answer(chain: ChainVerdict) -> Answer:
    """The words are "refused" and "passed"; the text names every filter."""
    names = ", ".join(f"{word.name}: {word.verdict}" for word in chain.words)
    return Answer("refused" if chain.refusal else "passed", names, chain=chain)


def mailbox_sender(
    mailbox: str, recipient: str, reverse_path: str, client_ip: str, helo_name: str
) -> Question:
    """What the owner of the mailbox says of this sender, at RCPT."""
    about = (mailbox, recipient, reverse_path, client_ip, helo_name)
    return Question(Subject.MAILBOX_SENDER, about)


def mailbox_content(
    mailbox: str, recipient: str, reverse_path: str, client_ip: str, helo_name: str, arrival: int
) -> Question:
    """What the owner of the mailbox says of the content of the message with this number."""
    about = (mailbox, recipient, reverse_path, client_ip, helo_name, str(arrival))
    return Question(Subject.MAILBOX_CONTENT, about)


def refused_before(reverse_path: str, client_ip: str, recipients: tuple[str, ...]) -> Question:
    """Whether one of these recipients has refused a content of this sender lately."""
    return Question(Subject.REFUSED_BEFORE, (reverse_path, client_ip, *recipients))


def spf_answer(result: SpfResult, seconds: float) -> Answer:
    values = (
        result.domain,
        result.sender,
        result.mechanism,
        result.explanation,
        result.problem,
    )
    return Answer(result.result.value, result.text, values, seconds)


def spf_result(question: Question, answer: Answer) -> SpfResult:
    """The answer to a question made by `spf`, as the Received-SPF header wants it."""
    identity, client_ip, helo_name, sender = question.about
    if answer.is_trouble:
        domain = sender.rpartition("@")[2] or helo_name
        return SpfResult(
            Identity(identity), Result.TEMPERROR, domain, sender, client_ip, problem=answer.text
        )
    domain, who, mechanism, explanation, problem = answer.values
    return SpfResult(
        Identity(identity),
        Result(answer.word),
        domain,
        who,
        client_ip,
        mechanism,
        explanation,
        problem,
    )
