"""Rules about who the client is: its network's access rule, the DNS lists, its HELO name."""

from collections.abc import Sequence

from mta.policy import answers, relay
from mta.policy.facts import DnsListFact, Facts, Policy, RuleState
from mta.policy.question import Answer
from mta.policy.rule import Finding, Rule, only_logged, optional, passed, refuse, refuse_with_text
from mta.protocol import dns_list, status
from mta.protocol.sender_domain import HeloOutcome
from mta.protocol.spf import Identity, Result

# Courier's BOFHCHECKHELO=2; 1 refuses.
_CHECKHELO_DEFERS = 2
_LATER = status.with_class(status.NOT_PERMITTED, "4")
_OFF, _ENFORCE = RuleState.OFF, RuleState.ENFORCE


@Rule
def blocked_network(facts: Facts, policy: Policy) -> Finding:
    """A blocked network gets a session, so that its users can sign in, but no recipient."""
    rule = policy.access_for(facts.session.client_ip)
    if rule is None or not rule.blocks:
        return passed("no access rule blocks this network")
    if facts.session.auth_user:
        return passed(f"access rule {rule.network} blocks it, users excepted")
    text = rule.text or "your network may not send mail here"
    return refuse_with_text(f"access rule {rule.network} blocks it", text)


@optional()
def dns_lists(facts: Facts, policy: Policy) -> Finding:
    """Who is on a block list may not send here, unless an allow list knows better."""
    if spared := _spared(facts, policy):
        return passed(spared)
    listings = _listings(facts, [each for each in policy.dns_lists if each.state is not _OFF])
    allowed = [each.zone for each, _ in listings if each.allows and each.state is _ENFORCE]
    if allowed:
        return passed(f"the allow list {allowed[0]} knows the client")
    blocks = [(each, answer) for each, answer in listings if not each.allows]
    for each, answer in sorted(blocks, key=lambda block: block[0].state is not _ENFORCE):
        finding = _blocked(facts.session.client_ip, each, answer)
        return finding if each.state is _ENFORCE else only_logged(finding)
    return passed("on no block list")


@optional()
def helo_check(facts: Facts, policy: Policy) -> Finding:
    """HELO must name the client: the name, or a mail host of it, has the client's address."""
    session = facts.session
    terms = policy.terms_for(session.client_ip, session.listener)
    if not terms.checkhelo:
        return passed("not looked up")
    if not session.client_ip or relay.is_one_of_us(facts, policy):
        return passed("users and networks that may relay are not asked")
    spf = facts.answers.get(answers.spf(Identity.HELO, session.client_ip, session.helo))
    if spf is not None and spf.word == Result.PASS:
        return passed("SPF vouches for the name")
    answer = facts.answer(answers.helo(session.helo, session.client_ip))
    if answer.word == HeloOutcome.OK:
        return passed("the name leads to the client")
    if answer.is_trouble:
        return refuse(answer.text, 451, status.DNS_TROUBLE, f"HELO {session.helo}: {answer.text}")
    text = f"HELO {session.helo}: {answer.text or answer.word}"
    if terms.checkhelo == _CHECKHELO_DEFERS:
        return refuse(f"{answer.word}, to be deferred", 451, _LATER, text)
    return refuse(answer.word, 550, status.NOT_PERMITTED, text)


def allow_listing(facts: Facts, policy: Policy) -> str:
    """The DNS allow list that knows the client; "" when none does."""
    lists = [each for each in policy.dns_lists if each.allows and each.state is _ENFORCE]
    return next((each.zone for each, _ in _listings(facts, lists)), "")


def _spared(facts: Facts, policy: Policy) -> str:
    """Why the lists are not asked, "" when they are."""
    session = facts.session
    if not policy.dns_lists:
        return "there are no lists"
    if not session.client_ip:
        return "a local program"
    if relay.is_one_of_us(facts, policy):
        return "users and networks that may relay are not asked"
    if not policy.terms_for(session.client_ip, session.listener).dnslists:
        return "switched off for this client"
    return ""


def _listings(facts: Facts, lists: Sequence[DnsListFact]) -> list[tuple[DnsListFact, Answer]]:
    """Those of the lists that have the client. A list that does not answer has nobody."""
    client_ip = facts.session.client_ip
    found = facts.answers_to([answers.dns_list(client_ip, each.zone) for each in lists])
    return [
        (each, answer)
        for each, answer in zip(lists, found, strict=True)
        if answer.word == answers.Listed.YES and dns_list.matches(answer.values, each.answers)
    ]


def _blocked(client_ip: str, block: DnsListFact, answer: Answer) -> Finding:
    detail = f"{block.zone} lists it as {', '.join(answer.values)}"
    if block.text and block.text != "*":
        return refuse_with_text(detail, block.text)
    # The list's own words are text and no more: it does not choose our reply code.
    text = answer.text if block.text else ""
    text = text or f"{client_ip} is listed by {block.zone}"
    return refuse(detail, 550, status.NOT_PERMITTED, text)
