"""The check of the return address's domain, and the check of the HELO name."""

import pytest

from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.sender_domain import (
    DomainOutcome,
    HeloOutcome,
    helo_matches,
    mail_hosts,
)
from tests.support.dns import DnsServer, Trouble, txt

ZONE = {
    "good.example": {"MX": ["10 mx1.good.example", "20 mx2.good.example"]},
    "mx1.good.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "mx2.good.example": {"A": ["192.0.2.2", "192.0.2.1"]},
    "bare.example": {"A": ["192.0.2.3"]},
    "own.example": {"A": ["127.0.0.1"]},
    "literal.example": {"MX": ["10 192.0.2.1", "20 mx2.good.example"], "A": ["192.0.2.9"]},
    "null.example": {"MX": ["0 ."], "A": ["192.0.2.4"]},
    "onlynull.example": {"MX": ["0 ."]},
    "text.example": {"TXT": txt("nothing else")},
    "dangling.example": {"MX": ["10 text.example"]},
    "loop.example": {"CNAME": ["loop2.example"]},
    "loop2.example": {"CNAME": ["loop.example"]},
    "loopmx.example": {"MX": ["10 loop.example"]},
    "alias.example": {"CNAME": ["good.example"]},
    "servfail.example": Trouble.SERVFAIL,
    "half.example": {"MX": ["10 servfail.example", "20 mx2.good.example"]},
    "halfname.example": {"A": ["192.0.2.5"], "AAAA": Trouble.SERVFAIL},
}


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONE) as dns:
        yield dns


@pytest.fixture
def resolver(server: DnsServer) -> DnsResolver:
    return DnsResolver(server.address)


@pytest.mark.parametrize(
    ("domain", "addresses"),
    [
        ("good.example", {"192.0.2.1", "2001:db8::1", "192.0.2.2"}),
        ("alias.example", {"192.0.2.1", "2001:db8::1", "192.0.2.2"}),
        ("bare.example", {"192.0.2.3"}),
        ("own.example", {"127.0.0.1"}),
        ("half.example", {"192.0.2.1", "192.0.2.2"}),
        ("halfname.example", {"192.0.2.5"}),
        ("[192.0.2.77]", {"192.0.2.77"}),
        ("[IPv6:2001:db8::77]", {"2001:db8::77"}),
    ],
)
def test_a_domain_that_can_take_a_report(
    resolver: DnsResolver, domain: str, addresses: set[str]
) -> None:
    found = mail_hosts(domain, resolver)
    assert (found.outcome, found.text) == (DomainOutcome.OK, "")
    assert set(found.addresses) == addresses
    assert len(found.addresses) == len(addresses)


@pytest.mark.parametrize(
    ("domain", "outcome", "text"),
    [
        ("gone.example", DomainOutcome.NO_SUCH_DOMAIN, "gone.example does not exist"),
        ("a..example", DomainOutcome.NO_SUCH_DOMAIN, "malformed"),
        ("literal.example", DomainOutcome.BROKEN_MX, "RFC 1035 3.3.9"),
        ("192.0.2.1", DomainOutcome.BROKEN_MX, "is an IP address"),
        ("loop.example", DomainOutcome.CNAME_LOOP, "circle"),
        ("loopmx.example", DomainOutcome.CNAME_LOOP, "circle"),
        ("null.example", DomainOutcome.NULL_MX, "does not take mail"),
        ("text.example", DomainOutcome.NO_ADDRESS, "has an address"),
        ("dangling.example", DomainOutcome.NO_ADDRESS, "has an address"),
        ("servfail.example", DomainOutcome.TROUBLE, "servfail.example"),
    ],
)
def test_a_domain_that_cannot(
    resolver: DnsResolver, domain: str, outcome: DomainOutcome, text: str
) -> None:
    found = mail_hosts(domain, resolver)
    assert found.outcome is outcome
    assert text in found.text
    assert found.addresses == ()


def test_silent_name_servers_are_trouble_and_never_a_verdict() -> None:
    with DnsServer({"silent.example": Trouble.TIMEOUT}) as dns:
        found = mail_hosts("silent.example", DnsResolver(dns.address, lifetime=0.5))
        helo = helo_matches("silent.example", "192.0.2.1", DnsResolver(dns.address, lifetime=0.5))
    assert found.outcome is DomainOutcome.TROUBLE
    assert helo.outcome is HeloOutcome.TROUBLE


@pytest.mark.parametrize(
    ("helo", "client_ip", "outcome"),
    [
        pytest.param("bare.example", "192.0.2.3", HeloOutcome.OK, id="its address"),
        pytest.param("BARE.example.", "192.0.2.3", HeloOutcome.OK, id="upper case, last dot"),
        pytest.param("bare.example", "::ffff:192.0.2.3", HeloOutcome.OK, id="mapped"),
        pytest.param("mx1.good.example", "2001:db8::1", HeloOutcome.OK, id="IPv6"),
        pytest.param("good.example", "192.0.2.2", HeloOutcome.OK, id="a mail host"),
        pytest.param("good.example", "2001:db8::1", HeloOutcome.OK, id="a mail host by IPv6"),
        pytest.param("literal.example", "192.0.2.9", HeloOutcome.OK, id="its MX does not matter"),
        pytest.param("null.example", "192.0.2.4", HeloOutcome.OK, id="null MX is ignored"),
        pytest.param("[192.0.2.8]", "192.0.2.8", HeloOutcome.OK, id="own literal"),
        pytest.param("192.0.2.8", "192.0.2.8", HeloOutcome.OK, id="own address"),
        pytest.param("[IPv6:2001:DB8:0::8]", "2001:db8::8", HeloOutcome.OK, id="own IPv6 literal"),
        pytest.param("halfname.example", "192.0.2.5", HeloOutcome.OK, id="other family fails"),
        pytest.param("bare.example", "192.0.2.4", HeloOutcome.MISMATCH, id="other address"),
        pytest.param("bare.example", "2001:db8::1", HeloOutcome.MISMATCH, id="other family"),
        pytest.param("null.example", "192.0.2.5", HeloOutcome.MISMATCH, id="null MX, other"),
        pytest.param("onlynull.example", "192.0.2.5", HeloOutcome.MISMATCH, id="only null MX"),
        pytest.param("text.example", "192.0.2.5", HeloOutcome.MISMATCH, id="no address"),
        pytest.param("[192.0.2.9]", "192.0.2.8", HeloOutcome.MISMATCH, id="other literal"),
        pytest.param("192.0.2.9", "192.0.2.8", HeloOutcome.MISMATCH, id="other bare address"),
        pytest.param("gone.example", "192.0.2.8", HeloOutcome.NONEXISTENT, id="unknown"),
        pytest.param("localhost", "192.0.2.8", HeloOutcome.NONEXISTENT, id="one label"),
        pytest.param("x..y", "192.0.2.8", HeloOutcome.NONEXISTENT, id="malformed"),
        pytest.param("", "192.0.2.8", HeloOutcome.NONEXISTENT, id="empty"),
        pytest.param("loop.example", "192.0.2.8", HeloOutcome.CNAME_LOOP, id="circle"),
        pytest.param("servfail.example", "192.0.2.8", HeloOutcome.TROUBLE, id="servfail"),
        pytest.param("half.example", "192.0.2.8", HeloOutcome.TROUBLE, id="one MX unknown now"),
        pytest.param("halfname.example", "2001:db8::5", HeloOutcome.TROUBLE, id="AAAA unknown now"),
    ],
)
def test_the_helo_name(
    resolver: DnsResolver, helo: str, client_ip: str, outcome: HeloOutcome
) -> None:
    found = helo_matches(helo, client_ip, resolver)
    assert found.outcome is outcome
    assert bool(found.text) is (outcome is not HeloOutcome.OK)


def test_a_mismatch_tells_what_was_found(resolver: DnsResolver) -> None:
    found = helo_matches("mx2.good.example", "192.0.2.8", resolver)
    assert set(found.addresses) == {"192.0.2.1", "192.0.2.2"}
    assert found.text == "192.0.2.8 is not an address of mx2.good.example"
