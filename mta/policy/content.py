"""Rules about what a message is: its characters, its MIME, its recipients (spec 2.11, 3.5.3)."""

from mta.policy.facts import ContentFacts, Facts, MimeMode, Policy
from mta.policy.rule import Finding, optional, passed, refuse
from mta.protocol import status

MAX_PROBLEMS_NAMED = 20
MAX_PROBLEM_TEXT = 300


@optional()
def eight_bit_header(facts: Facts, policy: Policy) -> Finding:
    """Raw 8-bit octets in the header section need SMTPUTF8 (RFC 6532)."""
    assert facts.mail is not None
    if not _content(facts).eight_bit_header:
        return passed("the header is ASCII")
    if facts.mail.smtputf8:
        return passed("SMTPUTF8 was given")
    if _mode(facts, policy) is not MimeMode.REJECT:
        return passed(f"8-bit octets in the header; the mode is {_mode(facts, policy)}")
    return refuse(
        "8-bit octets in the header without SMTPUTF8",
        550,
        status.BAD_CONTENT,
        "the header has 8-bit characters but the message was sent without SMTPUTF8",
    )


@optional()
def mime(facts: Facts, policy: Policy) -> Finding:
    """What breaks the rules of MIME is refused, and each problem is named."""
    problems = _content(facts).problems
    if not problems:
        return passed("nothing is wrong with its MIME")
    mode = _mode(facts, policy)
    if mode is not MimeMode.REJECT:
        return passed(f"{len(problems)} problems; the mode is {mode}")
    named = [problem[:MAX_PROBLEM_TEXT] for problem in problems[:MAX_PROBLEMS_NAMED]]
    text = "\n".join(["the message is not valid MIME:", *named])
    return refuse("; ".join(named), 550, status.BAD_CONTENT, text)


@optional()
def spam_trap(facts: Facts, policy: Policy) -> Finding:
    """A recipient that nobody honest could know of; the sender is not told which one it was."""
    if not policy.spam_traps:
        return passed("there are no traps")
    for recipient in _content(facts).recipients:
        if recipient.lower() in policy.spam_traps:
            text = "the message is not accepted"
            return refuse(f"sent to the trap {recipient}", 550, status.NOT_PERMITTED, text)
    return passed("sent to no trap")


def _mode(facts: Facts, policy: Policy) -> MimeMode:
    return policy.terms_for(facts.session.client_ip, facts.session.listener).mime


def _content(facts: Facts) -> ContentFacts:
    assert facts.content is not None
    return facts.content
