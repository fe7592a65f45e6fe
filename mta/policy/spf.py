"""SPF for three identities: HELO, MAIL FROM and the From header (RFC 7208; spec 2.11).

For each the administrator lists the results that are let through. "pass" always is. What is not
listed is refused when it is among the hard errors, and else deferred.
"""

from collections.abc import Collection

from mta.policy import answers, client, relay
from mta.policy.facts import Facts, Policy
from mta.policy.question import Answer, Question
from mta.policy.rule import Finding, optional, passed, refuse
from mta.protocol.mx import literal_address
from mta.protocol.spf import Identity, Result

# Each author costs up to ten lookups; honest mail has one or two.
MAX_AUTHORS = 10

# RFC 7372 3.2.
_NOT_PERMITTED = "5.7.23"
_NOT_VALIDATED = "4.7.24"

# Courier's words for those results that it names otherwise.
_KEYWORDS = {Result.TEMPERROR.value: "error", Result.PERMERROR.value: "unknown", "trouble": "error"}


@optional()
def spf_helo(facts: Facts, policy: Policy) -> Finding:
    """Does the domain of the HELO name permit this client?"""
    session = facts.session
    if spared := _spared(facts, policy, policy.spf.helo):
        return passed(spared)
    if literal_address(session.helo):
        return passed("HELO is an address literal")
    question = answers.spf(Identity.HELO, session.client_ip, session.helo)
    return _judge(facts, policy, policy.spf.helo, [question])


@optional()
def spf_mailfrom(facts: Facts, policy: Policy) -> Finding:
    """Does the sender's domain permit this client?"""
    assert facts.mail is not None
    if spared := _spared(facts, policy, policy.spf.mailfrom):
        return passed(spared)
    if not facts.mail.reverse_path:
        return passed("the null sender")
    return _judge(facts, policy, policy.spf.mailfrom, [_mailfrom(facts)])


@optional()
def spf_from(facts: Facts, policy: Policy) -> Finding:
    """Does the domain of each author in the From header permit this client?"""
    assert facts.content is not None and facts.mail is not None
    allowed = policy.spf.from_
    if spared := _spared(facts, policy, allowed):
        return passed(spared)
    ask_mailfrom = "mailfromok" in allowed and facts.mail.reverse_path
    if ask_mailfrom and facts.answer(_mailfrom(facts)).word == Result.PASS:
        return passed("MAIL FROM passed")
    session = facts.session
    questions = [
        answers.spf(Identity.FROM, session.client_ip, session.helo, author)
        for author in facts.content.authors[:MAX_AUTHORS]
    ]
    return _judge(facts, policy, allowed, questions) if questions else passed("no author")


def _mailfrom(facts: Facts) -> Question:
    session = facts.session
    assert facts.mail is not None
    return answers.spf(Identity.MAILFROM, session.client_ip, session.helo, facts.mail.reverse_path)


def _spared(facts: Facts, policy: Policy, allowed: Collection[str]) -> str:
    """Why SPF is not asked, "" when it is."""
    session = facts.session
    if "off" in allowed:
        return "not asked"
    if not session.client_ip:
        return "a local program"
    if session.auth_user:
        return "users may be anywhere"
    if not policy.terms_for(session.client_ip, session.listener).spf:
        return "switched off for this client"
    if policy.spf.trust_relays and relay.has_grant(facts, policy):
        return "networks that may relay are trusted"
    return ""


def _judge(
    facts: Facts, policy: Policy, allowed: Collection[str], questions: list[Question]
) -> Finding:
    """Refuses or defers by the first result that is not let through."""
    found = facts.answers_to(questions)
    for answer in found:
        keyword = _keyword(answer)
        if keyword == Result.PASS or keyword in allowed or "all" in allowed:
            continue
        if "allowok" in allowed and (zone := client.allow_listing(facts, policy)):
            return passed(f"{answer.word}, but the allow list {zone} knows the client")
        return _refuse(policy, answer, keyword)
    return passed("; ".join(f"{answer.word}: {answer.text}" for answer in found))


def _refuse(policy: Policy, answer: Answer, keyword: str) -> Finding:
    text = f"SPF: {answer.text or answer.word}"
    explanation = "" if answer.is_trouble else answer.values[3]
    if explanation and policy.spf.verbose:
        text = f"{text}: {explanation}"
    if keyword in policy.spf.harderror:
        return refuse(f"{keyword}: {answer.text}", 550, _NOT_PERMITTED, text)
    return refuse(f"{keyword}, to be deferred: {answer.text}", 451, _NOT_VALIDATED, text)


def _keyword(answer: Answer) -> str:
    return _KEYWORDS.get(answer.word, answer.word)
