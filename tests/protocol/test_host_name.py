"""Whom a client's address claims to be, and whether that is true."""

import pytest

from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.host_name import HostName, NameState, verified_name
from tests.support.dns import DnsServer, Trouble, reverse, txt

ZONE = {
    reverse("192.0.2.1"): {"PTR": ["Mail.Example"]},
    reverse("2001:db8::1"): {"PTR": ["mail.example"]},
    "mail.example": {"A": ["192.0.2.1", "192.0.2.7"], "AAAA": ["2001:db8::1"]},
    reverse("192.0.2.2"): {"PTR": ["www.bank.example"]},
    "www.bank.example": {"A": ["198.51.100.1"]},
    reverse("192.0.2.3"): {"PTR": ["gone.example"]},
    reverse("192.0.2.4"): Trouble.SERVFAIL,
    reverse("192.0.2.5"): {"PTR": ["slow.example"]},
    "slow.example": Trouble.SERVFAIL,
    reverse("192.0.2.6"): {"PTR": ["slow.example", "six.example"]},
    "six.example": {"A": ["192.0.2.6"]},
    reverse("192.0.2.8"): {"PTR": [f"n{n}.many.example" for n in range(40)]},
    **{f"n{n}.many.example": {"A": ["198.51.100.1"]} for n in range(40)},
    reverse("192.0.2.9"): {"TXT": txt("no name")},
    reverse("192.0.2.10"): {"PTR": [r"<b>\010odd.example", "single"]},
    reverse("192.0.2.11"): {"PTR": ["loop.example"]},
    "loop.example": {"CNAME": ["loop.example"]},
    reverse("192.0.2.12"): {"CNAME": [reverse("192.0.2.12")]},
}


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONE) as dns:
        yield dns


@pytest.mark.parametrize(
    ("client_ip", "expected"),
    [
        ("192.0.2.1", HostName(NameState.NAME, "mail.example", "mail.example")),
        ("2001:db8::1", HostName(NameState.NAME, "mail.example", "mail.example")),
        ("::ffff:192.0.2.1", HostName(NameState.NAME, "mail.example", "mail.example")),
        ("192.0.2.2", HostName(NameState.MISMATCH, claimed="www.bank.example")),
        ("192.0.2.3", HostName(NameState.MISMATCH, claimed="gone.example")),
        ("192.0.2.4", HostName(NameState.TROUBLE)),
        ("192.0.2.5", HostName(NameState.TROUBLE, claimed="slow.example")),
        ("192.0.2.6", HostName(NameState.NAME, "six.example", "six.example")),
        ("192.0.2.9", HostName(NameState.NONE)),
        ("192.0.2.10", HostName(NameState.MISMATCH)),
        ("192.0.2.11", HostName(NameState.MISMATCH, claimed="loop.example")),
        ("192.0.2.12", HostName(NameState.NONE)),
        ("198.51.100.9", HostName(NameState.NONE)),
    ],
)
def test_the_name_of_a_client(server: DnsServer, client_ip: str, expected: HostName) -> None:
    assert verified_name(client_ip, DnsResolver(server.address)) == expected


def test_a_client_with_many_names_does_not_cost_many_lookups(server: DnsServer) -> None:
    server.queries.clear()
    found = verified_name("192.0.2.8", DnsResolver(server.address))
    assert found.state is NameState.MISMATCH
    assert len([name for name, kind in server.queries if kind == "A"]) == 5


def test_name_servers_that_are_silent_are_trouble() -> None:
    with DnsServer({reverse("192.0.2.1"): Trouble.TIMEOUT}) as dns:
        found = verified_name("192.0.2.1", DnsResolver(dns.address, lifetime=0.5))
    assert found == HostName(NameState.TROUBLE)
