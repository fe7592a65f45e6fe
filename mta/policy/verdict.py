"""Rules asked for each recipient after the content was accepted: does its mailbox take it?"""

from mta.policy import answers
from mta.policy.facts import Facts, Policy, RcptFacts
from mta.policy.rule import Finding, Rule, passed, refuse
from mta.protocol import status


@Rule
def mailbox_size(facts: Facts, policy: Policy) -> Finding:
    """A mailbox may take smaller messages only than the server does."""
    size, limit = _size(facts), _rcpt(facts).resolution.sizelimit
    if not limit:
        return passed("the mailbox has no limit of its own")
    if size <= limit:
        return passed(f"{size} octets, limit of the mailbox {limit}")
    text = f"the message is too big for this mailbox: the limit is {limit} octets"
    return refuse(f"{size} octets, limit of the mailbox {limit}", 552, status.TOO_BIG, text)


@Rule
def mailbox_quota(facts: Facts, policy: Policy) -> Finding:
    """What does not fit waits at the sender's, and not in a queue of ours."""
    resolution = _rcpt(facts).resolution
    if not resolution.quota:
        return passed("the mailbox has no quota")
    mailbox, quota = resolution.targets[0], resolution.quota
    answer = facts.answer(answers.mailbox_room(mailbox, quota, _size(facts)))
    if answer.word == answers.Room.FULL:
        return refuse(answer.text, 452, status.MAILBOX_FULL, "the mailbox is full")
    return passed(answer.text)


def _size(facts: Facts) -> int:
    assert facts.content is not None
    return facts.content.size


def _rcpt(facts: Facts) -> RcptFacts:
    assert facts.rcpt is not None
    return facts.rcpt
