"""SPF by identity: what is let through, refused and deferred."""

from dataclasses import replace

import pytest

from mta.policy import answers
from mta.policy.answers import Listed
from mta.policy.facts import DnsListFact, SpfTerms, Terms
from mta.policy.question import Answer, Unanswered
from mta.policy.spf import MAX_AUTHORS
from mta.protocol.spf import Identity, Result
from tests.policy.situations import (
    BOB,
    LOCAL_PROGRAM,
    NO_ANSWER,
    POLICY,
    STRANGER,
    USER,
    content,
    mail,
    network,
    policy,
    step,
)

HELO = answers.spf(Identity.HELO, STRANGER.client_ip, STRANGER.helo)
MAILFROM = answers.spf(Identity.MAILFROM, STRANGER.client_ip, STRANGER.helo, "a@b.example")
USUAL = "none,neutral,pass,unknown,error"


def words(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


def spf(**identities: str):
    terms = SpfTerms(**{name: words(text) for name, text in identities.items()})
    return replace(POLICY, terms=Terms(checkdns=False), spf=terms)


def said(result: Result, explanation: str = "") -> Answer:
    return Answer(result, f"{result} of b.example", ("b.example", "", "-all", explanation, ""))


@pytest.mark.parametrize(
    ("allowed", "result", "reply"),
    [
        (USUAL, Result.PASS, "250"),
        ("none", Result.PASS, "250"),
        (USUAL, Result.NONE, "250"),
        (USUAL, Result.PERMERROR, "250"),
        (USUAL, Result.TEMPERROR, "250"),
        (USUAL, Result.FAIL, "550 5.7.23"),
        (USUAL, Result.SOFTFAIL, "550 5.7.23"),
        ("pass", Result.NEUTRAL, "451 4.7.24"),
        ("pass", Result.NONE, "451 4.7.24"),
        ("pass", Result.TEMPERROR, "451 4.7.24"),
        ("pass", Result.PERMERROR, "451 4.7.24"),
        ("all", Result.FAIL, "250"),
        ("off", Result.FAIL, "250"),
    ],
)
@pytest.mark.parametrize(("identity", "question"), [("helo", HELO), ("mailfrom", MAILFROM)])
def test_results(identity, question, allowed, result, reply):
    decision = mail("a@b.example", spf(**{identity: allowed}), {question: said(result)})
    assert str(decision.reply).startswith(reply)
    if not decision.accepted:
        assert decision.rule == f"spf_{identity}"
        assert "of b.example" in decision.reply.text


def test_the_hard_errors_can_be_chosen():
    soft = spf(mailfrom="pass")
    chosen = replace(soft, spf=replace(soft.spf, harderror=words("unknown")))
    assert mail("a@b.example", chosen, {MAILFROM: said(Result.PERMERROR)}).reply.code == 550
    assert mail("a@b.example", chosen, {MAILFROM: said(Result.FAIL)}).reply.code == 451


def test_no_answer_is_an_error():
    assert mail("a@b.example", spf(mailfrom="pass"), {MAILFROM: NO_ANSWER}).reply.code == 451
    assert mail("a@b.example", spf(mailfrom="pass,error"), {MAILFROM: NO_ANSWER}).accepted


def test_the_explanation_of_the_domain_is_passed_on_if_wanted():
    found = {MAILFROM: said(Result.FAIL, "see http://b.example/why")}
    verbose = spf(mailfrom="pass")
    assert "see http" in mail("a@b.example", verbose, found).reply.text
    quiet = replace(verbose, spf=replace(verbose.spf, verbose=False))
    assert "see http" not in mail("a@b.example", quiet, found).reply.text


def test_who_is_not_asked():
    strict = spf(helo="pass", mailfrom="pass")
    assert mail(BOB, strict, session=USER).accepted
    assert mail("a@b.example", strict, session=LOCAL_PROGRAM).accepted
    literal = replace(STRANGER, helo="[192.0.2.9]")
    assert mail("", strict, session=literal).accepted
    spared = policy(network(terms={"spf": False, "checkdns": False}), spf=strict.spf)
    assert mail("a@b.example", spared).accepted


def test_networks_that_may_relay_are_asked_unless_they_are_trusted():
    strict = spf(mailfrom="pass").spf
    relays = policy(network(relay=True), spf=strict, terms=Terms(checkdns=False))
    with pytest.raises(Unanswered):
        mail("a@b.example", relays)
    assert mail("a@b.example", replace(relays, spf=replace(strict, trust_relays=True))).accepted


def test_an_allow_list_makes_up_for_a_failure():
    allow = DnsListFact("good.example", allows=True)
    listing = answers.dns_list(STRANGER.client_ip, "good.example")
    policy_ = replace(spf(mailfrom="pass,allowok"), dns_lists=(allow,))
    failed = {MAILFROM: said(Result.FAIL)}
    listed = Answer(Listed.YES, values=("127.0.0.2",))
    decision = mail("a@b.example", policy_, {**failed, listing: listed})
    assert decision.accepted
    assert "good.example" in step(decision, "spf_mailfrom")
    assert not mail("a@b.example", policy_, {**failed, listing: Answer(Listed.NO)}).accepted


def author(address: str):
    return answers.spf(Identity.FROM, STRANGER.client_ip, STRANGER.helo, address)


def test_each_author_is_asked_about():
    strict = spf(from_="pass")
    authors = ("x@c.example", "y@d.example")
    good = {author(each): said(Result.PASS) for each in authors}
    assert content(strict, good, authors=authors).accepted
    one_bad = {**good, author("y@d.example"): said(Result.FAIL)}
    decision = content(strict, one_bad, authors=authors)
    assert (decision.rule, decision.reply.code) == ("spf_from", 550)
    assert content(strict, authors=()).accepted
    assert content(strict, session=USER, authors=authors).accepted


def test_a_crowd_of_authors_costs_no_crowd_of_questions():
    authors = tuple(f"{number}@c.example" for number in range(1000))
    with pytest.raises(Unanswered) as missing:
        content(spf(from_="pass"), authors=authors)
    assert len(missing.value.questions) == MAX_AUTHORS


def test_a_good_mail_from_can_be_enough():
    strict = spf(from_="pass,mailfromok")
    failed = {author("x@c.example"): said(Result.FAIL)}
    good = {**failed, MAILFROM: said(Result.PASS)}
    bad = {**failed, MAILFROM: said(Result.NONE)}
    assert content(strict, good, authors=("x@c.example",)).accepted
    assert not content(strict, bad, authors=("x@c.example",)).accepted
    assert not content(strict, failed, reverse_path="", authors=("x@c.example",)).accepted


def test_the_whole_result_is_in_the_answer():
    whole = answers.spf_result(MAILFROM, said(Result.FAIL, "why"))
    assert (whole.identity, whole.result) == (Identity.MAILFROM, Result.FAIL)
    assert (whole.domain, whole.explanation) == ("b.example", "why")
    assert answers.spf_answer(whole, 5.0).values == said(Result.FAIL, "why").values
    lost = answers.spf_result(MAILFROM, NO_ANSWER)
    assert (lost.result, lost.domain) == (Result.TEMPERROR, "b.example")
    assert answers.spf_result(HELO, NO_ANSWER).domain == STRANGER.helo
