"""MX rules as a mail administrator knows them, first on plain facts, then against a DNS server."""

from collections.abc import Sequence

import pytest

from mta.protocol.dns_resolver import DnsResolver, parse_nameserver
from mta.protocol.mx import (
    BrokenMx,
    CnameLoop,
    DnsTrouble,
    MxError,
    MxHost,
    NoSuchDomain,
    NullMx,
    RoutingLoop,
    is_local_address,
    is_never_local,
    resolve,
)
from tests.support.dns import DnsServer, Trouble

OURS = "mail.example.test"


class Facts:
    """A resolver over a dict: {"MX domain": [...], "host": [...]}; an exception is raised."""

    def __init__(self, facts: dict[str, object]) -> None:
        self._facts = facts

    def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        return self._get(f"MX {domain}", [])  # type: ignore[return-value]

    def addresses(self, name: str) -> Sequence[str]:
        return self._get(name, NoSuchDomain(name))  # type: ignore[return-value]

    def _get(self, key: str, default: object) -> object:
        fact = self._facts.get(key, default)
        if isinstance(fact, Exception):
            raise fact
        return fact


def hosts(facts: dict[str, object], domain: str = "example.org", **options: object) -> list[MxHost]:
    options = {
        "ourselves": frozenset({OURS}),
        "is_local": lambda address: address == "192.0.2.99",
        "shuffle": lambda group: None,
        **options,
    }
    return resolve(domain, Facts(facts), **options)  # type: ignore[arg-type]


def names(facts: dict[str, object], **options: object) -> list[str]:
    return [host.name for host in hosts(facts, **options)]


def test_hosts_come_best_preference_first() -> None:
    facts = {
        "MX example.org": [(20, "backup.example.org"), (10, "mx.example.org")],
        "mx.example.org": ["192.0.2.1", "2001:db8::1"],
        "backup.example.org": ["192.0.2.2"],
    }
    assert hosts(facts) == [
        MxHost("mx.example.org", ("192.0.2.1", "2001:db8::1"), 10),
        MxHost("backup.example.org", ("192.0.2.2",), 20),
    ]


def test_equal_preference_is_shuffled_and_stays_before_worse() -> None:
    facts: dict[str, object] = {
        "MX example.org": [(10, "a.example"), (10, "b.example"), (20, "c.example")],
        "a.example": ["192.0.2.1"],
        "b.example": ["192.0.2.2"],
        "c.example": ["192.0.2.3"],
    }
    assert names(facts, shuffle=lambda group: group.reverse()) == [
        "b.example",
        "a.example",
        "c.example",
    ]


def test_a_domain_without_mx_is_its_own_host() -> None:
    assert hosts({"example.org": ["192.0.2.1"]}) == [MxHost("example.org", ("192.0.2.1",), -1)]


def test_nxdomain_for_mx_still_falls_back_to_the_address() -> None:
    facts = {"MX example.org": NoSuchDomain("x"), "example.org": ["192.0.2.1"]}
    assert names(facts) == ["example.org"]


def test_an_mx_that_is_an_ip_address_spoils_the_domain_although_another_is_fine() -> None:
    facts = {
        "MX example.org": [(10, "192.0.2.1"), (5, "mx.example.org")],
        "mx.example.org": ["192.0.2.2"],
    }
    with pytest.raises(BrokenMx, match="RFC 1035") as caught:
        hosts(facts)
    assert caught.value.permanent


def test_null_mx_means_no_mail() -> None:
    with pytest.raises(NullMx) as caught:
        hosts({"MX example.org": [(0, "")], "example.org": ["192.0.2.1"]})
    assert (caught.value.code, caught.value.status) == (556, "5.1.10")


@pytest.mark.parametrize(
    ("trouble", "permanent"),
    [
        (NoSuchDomain("gone"), True),
        (CnameLoop("circle"), True),
        (DnsTrouble("servfail"), False),
    ],
)
def test_trouble_with_the_domain_is_reported_as_what_it_is(
    trouble: MxError, permanent: bool
) -> None:
    facts: dict[str, object] = {"MX example.org": trouble, "example.org": trouble}
    with pytest.raises(type(trouble)) as caught:
        hosts(facts)
    assert caught.value.permanent is permanent


def test_hosts_that_do_not_resolve_are_skipped() -> None:
    facts = {
        "MX example.org": [(10, "slow.example"), (20, "gone.example"), (30, "good.example")],
        "slow.example": DnsTrouble("timeout"),
        "good.example": ["192.0.2.1"],
    }
    assert names(facts) == ["good.example"]


def test_no_host_resolves_and_one_may_later_is_temporary() -> None:
    facts: dict[str, object] = {
        "MX example.org": [(10, "slow.example"), (20, "gone.example")],
        "slow.example": DnsTrouble("timeout"),
    }
    with pytest.raises(DnsTrouble):
        hosts(facts)


def test_no_host_resolves_for_good_is_permanent() -> None:
    facts: dict[str, object] = {
        "MX example.org": [(10, "gone.example"), (20, "empty.example")],
        "empty.example": [],
    }
    with pytest.raises(MxError) as caught:
        hosts(facts)
    assert caught.value.permanent


@pytest.mark.parametrize(
    "facts",
    [
        {"MX example.org": [(10, OURS), (20, "b.example")], "b.example": ["192.0.2.2"]},
        {"MX example.org": [(10, "other.example")], "other.example": ["192.0.2.99"]},
        {"example.org": ["192.0.2.99"]},
    ],
    ids=["our name", "our address", "our address without MX"],
)
def test_being_the_best_mx_for_a_foreign_domain_is_a_loop(facts: dict[str, object]) -> None:
    with pytest.raises(RoutingLoop) as caught:
        hosts(facts)
    assert caught.value.status == "5.4.6"


def test_as_a_backup_we_only_try_the_better_hosts() -> None:
    facts: dict[str, object] = {
        "MX example.org": [(10, "a.example"), (20, OURS), (20, "b.example"), (30, "c.example")],
        "a.example": ["192.0.2.1"],
        "b.example": ["192.0.2.2"],
        "c.example": ["192.0.2.3"],
        OURS: ["192.0.2.99"],
    }
    assert names(facts) == ["a.example"]


def test_an_address_literal_needs_no_dns() -> None:
    assert hosts({}, "[192.0.2.7]") == [MxHost("[192.0.2.7]", ("192.0.2.7",), -1)]
    assert hosts({}, "[IPv6:2001:db8::7]")[0].addresses == ("2001:db8::7",)


def test_an_address_literal_of_our_own_is_a_loop() -> None:
    with pytest.raises(RoutingLoop):
        hosts({}, "[192.0.2.99]")


def test_a_domain_that_looks_like_an_address_is_broken() -> None:
    with pytest.raises(BrokenMx):
        hosts({}, "192.0.2.7")


def test_fifty_mx_are_not_all_tried() -> None:
    facts: dict[str, object] = {f"mx{n}.example": [f"192.0.2.{n}"] for n in range(50)}
    facts["MX example.org"] = [(n, f"mx{n}.example") for n in range(50)]
    assert names(facts) == [f"mx{n}.example" for n in range(10)]


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
    ],
)
def test_local_addresses_are_known(address: str, local: bool) -> None:
    assert is_local_address(address) is local


# --- against a DNS server


ZONE = {
    "good.example": {"MX": ["10 mx1.good.example", "20 mx2.good.example"]},
    "mx1.good.example": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "mx2.good.example": {"A": ["192.0.2.2"]},
    "bare.example": {"A": ["192.0.2.3"]},
    "literal.example": {"MX": ["10 192.0.2.1", "20 mx2.good.example"]},
    "null.example": {"MX": ["0 ."]},
    "empty.example": {"TXT": ['"nothing else"']},
    "alias.example": {"CNAME": ["good.example"]},
    "loop.example": {"MX": ["10 a.loop.example"]},
    "a.loop.example": {"CNAME": ["b.loop.example"]},
    "b.loop.example": {"CNAME": ["a.loop.example"]},
    "fail.example": Trouble.SERVFAIL,
    "refused.example": Trouble.REFUSED,
    "silent.example": Trouble.TIMEOUT,
    "half.example": {"MX": ["10 silent.example", "20 mx2.good.example"]},
    "many.example": {"MX": [f"{n} mx{n}.a-rather-long-name.many.example" for n in range(90)]},
    **{f"mx{n}.a-rather-long-name.many.example": {"A": ["192.0.2.9"]} for n in range(90)},
}


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONE) as dns:
        yield dns


def looked_up(server: DnsServer, domain: str) -> list[str]:
    resolver = DnsResolver(server.address, lifetime=1.0)
    found = resolve(domain, resolver, is_local=is_never_local)
    return [address for host in found for address in host.addresses]


@pytest.mark.parametrize(
    ("domain", "addresses"),
    [
        ("good.example", ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        ("GOOD.example", ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        ("alias.example", ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        ("bare.example", ["192.0.2.3"]),
        ("half.example", ["192.0.2.2"]),
        ("many.example", ["192.0.2.9"] * 10),
    ],
)
def test_addresses_from_the_dns(server: DnsServer, domain: str, addresses: list[str]) -> None:
    assert looked_up(server, domain) == addresses


@pytest.mark.parametrize(
    ("domain", "error"),
    [
        ("literal.example", BrokenMx),
        ("null.example", NullMx),
        ("empty.example", BrokenMx),
        ("missing.example", NoSuchDomain),
        ("loop.example", CnameLoop),
        ("fail.example", DnsTrouble),
        ("refused.example", DnsTrouble),
        ("silent.example", DnsTrouble),
    ],
)
def test_errors_from_the_dns(server: DnsServer, domain: str, error: type[MxError]) -> None:
    with pytest.raises(error):
        looked_up(server, domain)


def test_the_time_for_all_lookups_together_is_bounded() -> None:
    zone = {f"mx{n}.example": Trouble.TIMEOUT for n in range(30)}
    with DnsServer({"x.example": {"MX": [f"{n} mx{n}.example" for n in range(30)]}, **zone}) as dns:
        with pytest.raises(DnsTrouble):
            resolve("x.example", DnsResolver(dns.address, lifetime=0.4))
        asked = {name for name, _ in dns.queries}
    assert len(asked) < 10


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("[::1]", ("::1", 53)),
        ("::1", ("::1", 53)),
    ],
)
def test_a_name_server_is_an_address_with_or_without_port(
    text: str, parsed: tuple[str, int]
) -> None:
    assert parse_nameserver(text) == parsed


@pytest.mark.parametrize(
    "text", ["dns.example:53", "127.0.0.1:0", "127.0.0.1:x", "[::1", "[::1]53"]
)
def test_a_mistyped_name_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name server|port|out of range"):
        parse_nameserver(text)
