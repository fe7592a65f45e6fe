"""A name from a stranger may be anything; the resolver answers or says why not, nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.protocol.dns_cache import AnswerCache
from mta.protocol.dns_list import lookup
from mta.protocol.dns_resolver import Answers, DnsResolver
from mta.protocol.mx import CnameLoop, DnsTrouble, MxError, NoSuchDomain
from mta.protocol.sender_domain import helo_matches, mail_hosts
from mta.protocol.spf import Identity, check
from tests.support.dns import DnsServer, Trouble, reverse, txt

ZONE = {
    "text.example": {"TXT": txt("one", "v=spf1 " + "x" * 300, "caf\xe9\x00")},
    "both.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "odd\\@name.example": {"A": ["192.0.2.2"]},
    reverse("192.0.2.1"): {"PTR": ["Both.Example", "other.example"]},
    reverse("2001:db8::1"): {"CNAME": ["delegated.example"]},
    "delegated.example": {"PTR": ["both.example"]},
    "loop.example": {"CNAME": ["loop.example"]},
    "broken.example": Trouble.SERVFAIL,
    "empty\\@name.example": {"TXT": txt("nothing else")},
}


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONE) as dns:
        yield dns


@pytest.fixture
def resolver(server: DnsServer) -> DnsResolver:
    return DnsResolver(server.address)


def test_txt_joins_the_strings_of_a_record_and_keeps_every_octet(resolver: DnsResolver) -> None:
    assert sorted(resolver.txt("text.example")) == [
        "caf\xe9\x00",
        "one",
        "v=spf1 " + "x" * 300,
    ]


def test_each_family_by_itself_and_together(resolver: DnsResolver) -> None:
    assert resolver.ipv4("both.example") == ("192.0.2.1",)
    assert resolver.ipv6("both.example") == ("2001:db8::1",)
    assert resolver.addresses("both.example") == ["192.0.2.1", "2001:db8::1"]


def test_ptr_follows_a_delegation_by_alias(resolver: DnsResolver) -> None:
    assert sorted(resolver.ptr("192.0.2.1")) == ["both.example", "other.example"]
    assert resolver.ptr("2001:db8::1") == ("both.example",)


def test_characters_with_a_meaning_in_zone_files_are_just_characters(
    resolver: DnsResolver,
) -> None:
    assert resolver.ipv4("odd@name.example") == ("192.0.2.2",)
    assert resolver.ipv4("empty@name.example") == ()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", NoSuchDomain),
        (".", NoSuchDomain),
        ("..", NoSuchDomain),
        ("a..example", NoSuchDomain),
        (".a.example", NoSuchDomain),
        ("x" * 64 + ".example", NoSuchDomain),
        ("x." * 127 + "example", NoSuchDomain),
        ("b\u00fccher.example", NoSuchDomain),
        ("\ud800.example", NoSuchDomain),
        ("nul\x00.example", NoSuchDomain),
        ("back\\slash.example", NoSuchDomain),
        ("\\300.example", NoSuchDomain),
        ("loop.example", CnameLoop),
        ("broken.example", DnsTrouble),
    ],
)
def test_a_bad_name_is_a_declared_error(
    resolver: DnsResolver, name: str, error: type[MxError]
) -> None:
    for question in (resolver.mx, resolver.addresses, resolver.ipv4, resolver.txt):
        with pytest.raises(error):
            question(name)


NAMES = st.one_of(
    st.text(max_size=80),
    st.text(alphabet='.-_\\@"();$[]%\x00a0\u00e9', max_size=300),
    st.lists(st.text(alphabet="ab-0", max_size=70), max_size=6).map(".".join),
)


@settings(max_examples=150, deadline=None)
@given(name=NAMES)
def test_no_name_causes_anything_but_a_declared_error(server: DnsServer, name: str) -> None:
    resolver = DnsResolver(server.address, cache=AnswerCache())
    for question in (resolver.mx, resolver.addresses, resolver.txt):
        try:
            question(name)
        except MxError as error:
            assert str(error).isprintable()


@settings(max_examples=60, deadline=None)
@given(name=NAMES, local=st.text(max_size=20))
def test_no_name_breaks_a_check_of_policy(server: DnsServer, name: str, local: str) -> None:
    resolver = DnsResolver(server.address, cache=AnswerCache())
    for text in (
        mail_hosts(name, resolver).text,
        helo_matches(name, "192.0.2.1", resolver).text,
        check(Identity.HELO, "192.0.2.1", name, "", "mx.test", resolver).text,
        check(Identity.MAILFROM, "2001:db8::1", name, f"{local}@{name}", "mx.test", resolver).text,
    ):
        assert text.isprintable()
    try:
        lookup("192.0.2.1", name, resolver)
    except DnsTrouble:
        pass


# --- DNSSEC and TLSA

SIGNED = {
    "example.org": {"MX": ["10 mx.example.org"], "A": ["192.0.2.1"]},
    "mx.example.org": {"A": ["192.0.2.2"]},
    "alias.example.org": {"CNAME": ["elsewhere.example"]},
    "elsewhere.example": {"A": ["192.0.2.3"]},
    "_25._tcp.mx.example.org": {"TLSA": ["3 1 1 " + "ab" * 32, "2 0 2 " + "cd" * 64]},
}


def test_answers_are_proven_when_the_name_server_says_so() -> None:
    with DnsServer(SIGNED, signed=True, unsigned=("mx.example.org",)) as server:
        resolver = DnsResolver(server.address)
        assert not resolver.proven("example.org")
        resolver.mx("example.org")
        resolver.addresses("mx.example.org")
        assert resolver.proven("Example.org.")
        assert not resolver.proven("mx.example.org")


def test_one_answer_that_is_not_proven_spoils_the_name_and_the_cache_remembers() -> None:
    cache: Answers = AnswerCache()
    with DnsServer(SIGNED, signed=True) as server:
        first = DnsResolver(server.address, cache=cache)
        first.mx("example.org")
        server.signed = False
        second = DnsResolver(server.address, cache=cache)
        second.mx("example.org")
        assert second.proven("example.org")
        second.ipv4("example.org")
        assert not second.proven("example.org")


def test_tlsa_records() -> None:
    with DnsServer(SIGNED) as server:
        records = DnsResolver(server.address).tlsa("_25._tcp.mx.example.org")
        assert DnsResolver(server.address).tlsa("example.org") == ()
    assert {str(record): len(record.data) for record in records} == {"3 1 1": 32, "2 0 2": 64}
