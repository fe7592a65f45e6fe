"""Block and allow lists as their users know them."""

import pytest

from mta.protocol.dns_list import lookup, matches, query_name
from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.mx import DnsTrouble
from tests.support.dns import DnsServer, Trouble, txt

LIST = "list.example"
NIBBLES = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
ZONE = {
    f"1.2.0.192.{LIST}": {"A": ["127.0.0.4", "127.0.0.2"], "TXT": txt("see https://l.example/?1")},
    f"2.2.0.192.{LIST}": {"A": ["127.0.0.2"]},
    f"3.2.0.192.{LIST}": {"A": ["127.0.0.2"], "TXT": Trouble.SERVFAIL},
    f"4.2.0.192.{LIST}": {"A": ["127.255.255.254"], "TXT": txt("you ask too often")},
    f"5.2.0.192.{LIST}": {"A": ["203.0.113.7"]},
    f"6.2.0.192.{LIST}": {"A": ["203.0.113.7", "127.255.255.252", "127.0.0.9"]},
    f"7.2.0.192.{LIST}": Trouble.SERVFAIL,
    f"8.2.0.192.{LIST}": {"CNAME": [f"8.2.0.192.{LIST}"]},
    f"9.2.0.192.{LIST}": {"TXT": txt("only a text")},
    f"10.2.0.192.{LIST}": {"A": ["127.0.0.2"], "TXT": txt("b\r\n250 ok\x00\xff" + "y" * 600, "a")},
    f"{NIBBLES}.{LIST}": {"A": ["127.0.0.3"], "TXT": txt("six")},
}


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONE) as dns:
        yield dns


@pytest.fixture
def resolver(server: DnsServer) -> DnsResolver:
    return DnsResolver(server.address)


@pytest.mark.parametrize(
    ("client_ip", "answers", "text"),
    [
        ("192.0.2.1", ("127.0.0.2", "127.0.0.4"), "see https://l.example/?1"),
        ("192.0.2.2", ("127.0.0.2",), ""),
        ("192.0.2.3", ("127.0.0.2",), ""),
        ("192.0.2.6", ("127.0.0.9",), ""),
        ("::ffff:192.0.2.2", ("127.0.0.2",), ""),
        ("2001:db8::1", ("127.0.0.3",), "six"),
    ],
)
def test_a_listed_client(
    resolver: DnsResolver, client_ip: str, answers: tuple[str, ...], text: str
) -> None:
    listing = lookup(client_ip, LIST, resolver)
    assert listing is not None
    assert (listing.zone, listing.answers, listing.text) == (LIST, answers, text)


@pytest.mark.parametrize(
    "client_ip",
    [
        pytest.param("198.51.100.1", id="not there"),
        pytest.param("2001:db8::2", id="IPv6 not there"),
        pytest.param("192.0.2.4", id="the list refuses to serve us"),
        pytest.param("192.0.2.5", id="an abandoned zone answers to everything"),
        pytest.param("192.0.2.9", id="no address"),
    ],
)
def test_a_client_that_is_not_listed(resolver: DnsResolver, client_ip: str) -> None:
    assert lookup(client_ip, LIST, resolver) is None


@pytest.mark.parametrize("client_ip", ["192.0.2.7", "192.0.2.8"])
def test_a_list_that_does_not_work_is_trouble_and_no_listing(
    resolver: DnsResolver, client_ip: str
) -> None:
    with pytest.raises(DnsTrouble):
        lookup(client_ip, LIST, resolver)


def test_the_reason_is_fit_for_a_reply(resolver: DnsResolver) -> None:
    listing = lookup("192.0.2.10", LIST, resolver)
    assert listing is not None
    assert listing.text.startswith("a; b 250 ok??yyy")
    assert listing.text.isprintable()
    assert len(listing.text) == 300


def test_a_malformed_zone_lists_nobody(resolver: DnsResolver) -> None:
    assert lookup("192.0.2.1", "bad..zone", resolver) is None


def test_the_name_that_is_asked() -> None:
    assert query_name("192.0.2.1", ".list.example.") == "1.2.0.192.list.example"
    assert query_name("2001:db8::1", LIST) == f"{NIBBLES}.{LIST}"


@pytest.mark.parametrize(
    ("answers", "wanted", "match"),
    [
        (("127.0.0.2",), (), True),
        (("127.9.9.9",), (), True),
        ((), (), False),
        (("127.0.0.2",), ("127.0.0.2",), True),
        (("127.0.0.2",), ("127.0.0.3",), False),
        (("127.0.0.2", "127.0.0.3"), ("127.0.0.3",), True),
        (("127.0.1.200",), ("127.0.0.0/8",), True),
        (("127.0.1.200",), ("127.0.0.0/24", "127.0.1.0/24"), True),
        (("127.0.1.200",), ("127.0.0.1/24",), False),
    ],
)
def test_which_answers_count(
    answers: tuple[str, ...], wanted: tuple[str, ...], match: bool
) -> None:
    assert matches(answers, wanted) is match


def test_a_mistyped_answer_in_the_configuration_is_an_error() -> None:
    with pytest.raises(ValueError, match="127.0.0"):
        matches(("127.0.0.2",), ("127.0.0",))
