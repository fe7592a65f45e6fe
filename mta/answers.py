"""Answers the questions of policy: one blocking function for each subject, run in a thread.

What a question holds and an answer says is in `mta.policy.answers`. All sessions of a process
share one cache of the DNS, which minds how long each record may be kept.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from mta import auth_failures, mailbox_judge
from mta.ingress.inquiry import Answerer
from mta.policy.answers import Listed, Room, Trouble, spf_answer
from mta.policy.question import TROUBLE, Answer, Question, Subject
from mta.protocol import (
    address,
    dns_list,
    host_name,
    maildir,
    maildirsize,
    sender_domain,
    spf,
)
from mta.protocol.dns_cache import TROUBLE as TROUBLE_SECONDS
from mta.protocol.dns_cache import AnswerCache
from mta.protocol.dns_resolver import Answers, DnsResolver
from mta.protocol.host_name import NameState
from mta.protocol.mx import DnsTrouble
from mta.protocol.sender_domain import DomainOutcome, HeloOutcome
from mta.queue import backscatter

# A session has ten seconds for all its answers; so long one of them may take.
DNS_SECONDS = 8.0
DNS_KEPT = 60.0
ADDRESS_KEPT = 10.0

Lookup = Callable[[tuple[str, ...], DnsResolver], Answer]


def _of_dns(lookup: Lookup) -> Answerer:
    """An answerer of what `lookup` finds in the DNS. No answer for now is TROUBLE."""

    def answer(question: Question) -> Answer:
        nameserver = settings.ENVIRONMENT.dns
        try:
            return lookup(question.about, DnsResolver(nameserver, DNS_SECONDS, _cache(nameserver)))
        except DnsTrouble as error:
            return _trouble(str(error))

    return answer


@lru_cache(maxsize=4)
def _cache(nameserver: str) -> Answers:
    """One for each set of name servers, since they need not agree."""
    return AnswerCache()


def _dns_list(about: tuple[str, ...], resolver: DnsResolver) -> Answer:
    client_ip, zone = about
    listing = dns_list.lookup(client_ip, zone, resolver)
    if listing is None:
        return Answer(Listed.NO, seconds=DNS_KEPT)
    return Answer(Listed.YES, listing.text, listing.answers, DNS_KEPT)


def _host_name(about: tuple[str, ...], resolver: DnsResolver) -> Answer:
    (client_ip,) = about
    found = host_name.verified_name(client_ip, resolver)
    if found.state is NameState.TROUBLE:
        return _trouble("the name of the client cannot be looked up")
    return Answer(found.state.value, found.name or found.claimed, seconds=DNS_KEPT)


def _sender_domain(about: tuple[str, ...], resolver: DnsResolver) -> Answer:
    (domain,) = about
    found = sender_domain.mail_hosts(domain, resolver)
    if found.outcome is DomainOutcome.TROUBLE:
        return _trouble(found.text)
    return Answer(found.outcome.value, found.text, found.addresses, DNS_KEPT)


def _helo(about: tuple[str, ...], resolver: DnsResolver) -> Answer:
    name, client_ip = about
    found = sender_domain.helo_matches(name, client_ip, resolver)
    if found.outcome is HeloOutcome.TROUBLE:
        return _trouble(found.text)
    return Answer(found.outcome.value, found.text, found.addresses, DNS_KEPT)


def _spf(about: tuple[str, ...], resolver: DnsResolver) -> Answer:
    identity, client_ip, helo, sender = about
    hostname = settings.ENVIRONMENT.hostname
    found = spf.check(spf.Identity(identity), client_ip, helo, sender, hostname, resolver)
    temporary = found.result is spf.Result.TEMPERROR
    return spf_answer(found, TROUBLE_SECONDS if temporary else DNS_KEPT)


def _address_trouble(question: Question) -> Answer:
    found = backscatter.trouble_of(question.about)
    if found is None:
        return Answer(Trouble.NONE, seconds=ADDRESS_KEPT)
    word = Trouble.FAILED if found.permanent else Trouble.DEFERRED
    return Answer(word, found.reply, (found.address,), ADDRESS_KEPT)


def _mailbox_room(question: Question) -> Answer:
    """As the delivery will judge it; the two share the file maildirsize."""
    mailbox, quota, size = question.about
    name = maildir.mailbox_name(*address.split(mailbox))
    path = Path(settings.ENVIRONMENT.mail_root, name, "Maildir")
    try:
        fits = maildirsize.Account(str(path), int(quota)).admits(int(size))
    except FileNotFoundError:
        # Nothing was delivered yet.
        fits = int(size) <= int(quota)
    except OSError as error:
        return _trouble(f"the quota of the mailbox cannot be read: {error.strerror}")
    if fits:
        return Answer(Room.FITS, f"{size} octets fit into the quota of {quota}")
    return Answer(Room.FULL, f"{size} octets more than the quota of {quota} allows")


def _trouble(text: str) -> Answer:
    return Answer(TROUBLE, text, seconds=TROUBLE_SECONDS)


ANSWERERS: Mapping[Subject, Answerer] = {
    Subject.DNS_LIST: _of_dns(_dns_list),
    Subject.HOST_NAME: _of_dns(_host_name),
    Subject.SENDER_DOMAIN: _of_dns(_sender_domain),
    Subject.HELO: _of_dns(_helo),
    Subject.SPF: _of_dns(_spf),
    Subject.ADDRESS_TROUBLE: _address_trouble,
    Subject.AUTH_FAILURES: auth_failures.answer,
    Subject.MAILBOX_ROOM: _mailbox_room,
    Subject.MAILBOX_SENDER: mailbox_judge.judge_sender,
    Subject.REFUSED_BEFORE: mailbox_judge.refused_before,
}
