"""Rules about the return address: is it wanted, and could a report ever reach it?

Spec 2.11, 2.12, 2.17 and 4.8.
"""

from ipaddress import ip_address

from mta.policy import answers, patterns, relay
from mta.policy.facts import Facts, Policy
from mta.policy.question import Answer
from mta.policy.rule import Finding, optional, passed, refuse
from mta.protocol import address as addresses
from mta.protocol import status
from mta.protocol.host_name import NameState
from mta.protocol.sender_domain import DomainOutcome

# RFC 7372 3.3 and RFC 7505 4.2.
_NO_HOST_NAME = "5.7.25"
_SENDER_HAS_NULL_MX = "5.7.27"


@optional()
def bad_sender(facts: Facts, policy: Policy) -> Finding:
    """The administrator wants no mail with this return address."""
    if not policy.bad_senders:
        return passed("there are no bad senders")
    reverse_path = _reverse_path(facts)
    pattern = patterns.find(reverse_path, policy.bad_senders) if reverse_path else ""
    if not pattern:
        return passed("not among the bad senders")
    text = "mail from this address is not accepted"
    return refuse(f"bad sender {pattern}", 550, status.NOT_PERMITTED, text)


@optional()
def freemail(facts: Facts, policy: Policy) -> Finding:
    """Mail of such a domain comes from hosts whose names are in it, or in a partner's."""
    domain = addresses.split(_reverse_path(facts))[1]
    hosts = policy.freemail.get(domain)
    if hosts is None:
        return passed("no free-mail domain")
    client_ip = facts.session.client_ip
    if not client_ip or relay.is_one_of_us(facts, policy):
        return passed("users and networks that may relay are not asked")
    answer = facts.answer(answers.host_name(client_ip))
    if answer.is_trouble:
        return passed("the name of the client is not known at the moment")
    if answer.word != NameState.NAME:
        text = f"mail from {domain} needs a host with a name of its own"
        return refuse(f"the client has no name ({answer.word})", 550, _NO_HOST_NAME, text)
    if any(f".{answer.text}".endswith(f".{host}") for host in hosts):
        return passed(f"the client is {answer.text}")
    text = f"{answer.text} does not send the mail of {domain}"
    return refuse(f"the client is {answer.text}", 550, status.NOT_PERMITTED, text)


@optional()
def sender_domain(facts: Facts, policy: Policy) -> Finding:
    """The domain exists and has mail hosts that work, so that a report could reach the sender."""
    if spared := _spared(facts, policy):
        return passed(spared)
    domain = addresses.split(_reverse_path(facts))[1]
    answer = facts.answer(answers.sender_domain(domain))
    if answer.word == DomainOutcome.OK:
        return passed("the domain takes mail")
    return _refuse_domain(domain, answer)


@optional()
def bad_mail_host(facts: Facts, policy: Policy) -> Finding:
    """A mail host of the domain has an address that the administrator does not trust."""
    if not policy.bad_mail_hosts:
        return passed("there are no bad mail hosts")
    if spared := _spared(facts, policy):
        return passed(spared)
    domain = addresses.split(_reverse_path(facts))[1]
    for host in facts.answer(answers.sender_domain(domain)).values:
        for network in policy.bad_mail_hosts:
            if ip_address(host) in network:
                text = f"mail from {domain} is not accepted: its mail host {host} is not trusted"
                return refuse(f"{host} is in {network}", 550, status.NOT_PERMITTED, text)
    return passed("no mail host of the domain is a bad one")


@optional()
def dsn_refuser(facts: Facts, policy: Policy) -> Finding:
    """A domain whose servers refuse MAIL FROM:<>: what fails could not be reported (spec 4.8)."""
    domain = addresses.split(_reverse_path(facts))[1]
    reply = policy.dsn_refusers.get(domain)
    if reply is None:
        return passed("its servers are not known to refuse reports")
    if facts.session.auth_user:
        return passed("a user of ours")
    text = f"{domain} refuses delivery status notifications, so its mail is not accepted"
    return refuse(f"its servers said: {reply}", 550, status.NOT_PERMITTED, text)


def _spared(facts: Facts, policy: Policy) -> str:
    """Why the DNS is not asked about the sender's domain, "" when it is."""
    session = facts.session
    domain = addresses.split(_reverse_path(facts))[1]
    if not domain:
        return "the null sender"
    if session.auth_user:
        return "users may have any domain that they may send as"
    if domain == policy.hostname or policy.domain_kind(domain) is not None:
        return "a domain of ours"
    if domain.startswith("["):
        return "an address literal"
    if not policy.terms_for(session.client_ip, session.listener).checkdns:
        return "switched off for this client"
    access = policy.access_for(session.client_ip)
    if access is not None and access.blocks:
        return "no recipient will be accepted anyway"
    return ""


def _refuse_domain(domain: str, answer: Answer) -> Finding:
    told = answer.text or answer.word
    told = told if domain in told else f"{domain}: {told}"
    text = f"the sender's domain cannot be used: {told}"
    if answer.is_trouble:
        return refuse(
            told, 451, status.DNS_TROUBLE, f"the sender's domain is not known now: {told}"
        )
    null_mx = answer.word == DomainOutcome.NULL_MX
    code = _SENDER_HAS_NULL_MX if null_mx else status.BAD_SENDER_DOMAIN
    return refuse(f"{answer.word}: {told}", 550, code, text)


def _reverse_path(facts: Facts) -> str:
    assert facts.mail is not None
    return facts.mail.reverse_path
