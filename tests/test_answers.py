"""The answers to the questions of policy, from a real DNS server and the real database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mta.answers import ANSWERERS
from mta.models import AddressTrouble, Settings
from mta.policy import answers
from mta.policy.answers import Listed, Room, Trouble
from mta.policy.question import Answer, Question
from mta.protocol.host_name import NameState
from mta.protocol.sender_domain import DomainOutcome, HeloOutcome
from mta.protocol.spf import Identity, Result
from tests.support.dns import DnsServer, reverse, txt
from tests.support.dns import Trouble as DnsTrouble

CLIENT = "192.0.2.9"
ZONE = {
    "good.example": {"MX": ["10 mx.good.example"], "TXT": txt("v=spf1 ip4:192.0.2.9 -all")},
    "mx.good.example": {"A": [CLIENT]},
    "strict.example": {"A": ["198.51.100.1"], "TXT": txt("v=spf1 -all")},
    "null.example": {"MX": ["0 ."]},
    "literal.example": {"MX": ["10 192.0.2.1"]},
    "broken.example": DnsTrouble.SERVFAIL,
    "9.2.0.192.list.example": {"A": ["127.0.0.2"], "TXT": txt("spam was seen")},
    "9.2.0.192.broken.example": DnsTrouble.SERVFAIL,
    reverse(CLIENT): {"PTR": ["mx.good.example"]},
    reverse("192.0.2.10"): {"PTR": ["mx.good.example"]},
}


@pytest.fixture(autouse=True)
def dns(settings) -> Iterator[DnsServer]:
    with DnsServer(ZONE) as server:
        settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=server.address)
        yield server


def answer(question: Question) -> Answer:
    return ANSWERERS[question.subject](question)


@pytest.mark.parametrize(
    ("question", "word"),
    [
        (answers.dns_list(CLIENT, "list.example"), Listed.YES),
        (answers.dns_list("192.0.2.10", "list.example"), Listed.NO),
        (answers.dns_list("2001:db8::1", "list.example"), Listed.NO),
        (answers.dns_list(CLIENT, "broken.example"), "trouble"),
        (answers.host_name(CLIENT), NameState.NAME),
        (answers.host_name("192.0.2.10"), NameState.MISMATCH),
        (answers.host_name("192.0.2.11"), NameState.NONE),
        (answers.sender_domain("good.example"), DomainOutcome.OK),
        (answers.sender_domain("nowhere.example"), DomainOutcome.NO_SUCH_DOMAIN),
        (answers.sender_domain("null.example"), DomainOutcome.NULL_MX),
        (answers.sender_domain("literal.example"), DomainOutcome.BROKEN_MX),
        (answers.sender_domain("broken.example"), "trouble"),
        (answers.helo("MX.good.example", CLIENT), HeloOutcome.OK),
        (answers.helo("strict.example", CLIENT), HeloOutcome.MISMATCH),
        (answers.helo("nowhere.example", CLIENT), HeloOutcome.NONEXISTENT),
        (answers.helo("broken.example", CLIENT), "trouble"),
        (answers.spf(Identity.MAILFROM, CLIENT, "x", "a@good.example"), Result.PASS),
        (answers.spf(Identity.HELO, CLIENT, "strict.example"), Result.FAIL),
        (answers.spf(Identity.FROM, CLIENT, "x", "a@nowhere.example"), Result.NONE),
        (answers.spf(Identity.FROM, CLIENT, "x", "a@broken.example"), Result.TEMPERROR),
    ],
)
def test_the_dns(question, word):
    found = answer(question)
    assert found.word == word
    assert found.seconds > 0
    assert found.text or word in (Listed.NO, NameState.NONE, DomainOutcome.OK, HeloOutcome.OK)


def test_what_comes_with_the_word():
    listing = answer(answers.dns_list(CLIENT, "list.example"))
    assert (listing.values, listing.text) == (("127.0.0.2",), "spam was seen")
    assert answer(answers.host_name(CLIENT)).text == "mx.good.example"
    assert answer(answers.sender_domain("good.example")).values == (CLIENT,)


def test_trouble_is_not_remembered_for_long():
    good = answer(answers.sender_domain("good.example"))
    assert answer(answers.sender_domain("broken.example")).seconds < good.seconds <= 60


def test_the_dns_is_not_asked_again_for_what_it_just_said(dns):
    answer(answers.sender_domain("good.example"))
    asked = len(dns.queries)
    answer(answers.sender_domain("good.example"))
    assert len(dns.queries) == asked


@pytest.mark.parametrize("name", ["ä", "a b", "x" * 300, "..", "[::1", "%s", "a\x00b"])
def test_garbage_from_a_client_is_answered(name):
    assert answer(answers.helo(name, CLIENT)).word != HeloOutcome.OK
    assert answer(answers.spf(Identity.HELO, CLIENT, name)).word in set(Result)


@pytest.mark.django_db
def test_addresses_in_trouble():
    settings = Settings.load()

    def failed(address: str, *, permanent: bool, minutes: int) -> None:
        AddressTrouble.objects.create(
            address=address,
            permanent=permanent,
            reply="550 no",
            at=timezone.now() - timedelta(minutes=minutes),
        )

    failed("a@far.example", permanent=False, minutes=1)
    failed("b@far.example", permanent=True, minutes=119)
    failed("c@far.example", permanent=True, minutes=121)
    ask = answers.address_trouble
    assert answer(ask(("a@far.example",))).word == Trouble.DEFERRED
    assert answer(ask(("c@far.example", "d@far.example"))).word == Trouble.NONE
    worst = answer(ask(("d@far.example", "a@far.example", "b@far.example")))
    assert (worst.word, worst.values) == (Trouble.FAILED, ("b@far.example",))
    assert 0 < worst.seconds <= 10
    settings.backscatter_window = timedelta(minutes=130)
    settings.save()
    assert answer(ask(("c@far.example",))).word == Trouble.FAILED


@pytest.fixture
def maildir(settings, tmp_path: Path) -> Path:
    """The Maildir of bob@example.test, with nothing in it."""
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, home=tmp_path)
    path = tmp_path / "mail" / "example.test" / "bob" / "Maildir"
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    return path


def room(quota: int, size: int, who: str = "bob@example.test") -> str:
    return answer(answers.mailbox_room(who, quota, size)).word


def test_room_in_a_mailbox(maildir):
    (maildir / "new" / "1.Qx.host,S=600").write_bytes(b"x" * 600)
    assert room(1000, 400) == Room.FITS
    assert room(1000, 401) == Room.FULL
    # Another quota than the file says: it is counted anew.
    assert room(2000, 401) == Room.FITS


def test_room_in_a_mailbox_that_had_no_mail_yet(maildir):
    assert room(1000, 1000, "ann@example.test") == Room.FITS
    assert room(1000, 1001, "ann@example.test") == Room.FULL
    assert not maildir.parent.parent.joinpath("ann").exists()


def test_a_mailbox_that_cannot_be_read_is_trouble_and_no_refusal(maildir):
    (maildir / "maildirsize").mkdir()
    assert room(1000, 10) == "trouble"
