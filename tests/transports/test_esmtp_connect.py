"""How the esmtp transport finds its host."""

import socket

import pytest

from mta.transports.base import Result
from mta.transports.esmtp import Esmtp
from tests.support.dns import DnsServer, Trouble
from tests.support.sink import Sink
from tests.transports.esmtp_delivery import Delivery, by_mx, message


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_nobody_listens() -> None:
    delivery = Delivery(f"relay:[127.0.0.1]:{closed_port()}", message(1, "ann@example.org"))
    assert delivery.replies == ["451 4.4.1"]
    assert delivery.only.remote == "[127.0.0.1]"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_delivery_by_mx_tries_the_next_host_and_address() -> None:
    zone = {
        "example.org": {"MX": ["10 mx1.example.org", "20 mx2.example.org"]},
        "mx1.example.org": {"A": ["127.0.0.2", "127.0.0.3"]},
        "mx2.example.org": {"A": ["127.0.0.1"]},
    }
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.results == [Result.SENT]
    assert delivery.only.remote == "mx2.example.org [127.0.0.1]"


def test_a_negative_greeting_is_final_although_there_is_another_host() -> None:
    zone = {
        "example.org": {"MX": ["10 mx1.example.org", "20 mx2.example.org"]},
        "mx1.example.org": {"A": ["127.0.0.1"]},
        "mx2.example.org": {"A": ["127.0.0.1"]},
    }
    with Sink(replies={"BANNER": "554 5.3.2 no service"}) as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.replies == ["554 5.3.2"]
    assert len(sink.sessions) == 1


@pytest.mark.parametrize(
    ("records", "reply"),
    [
        ({"MX": ["10 192.0.2.1", "20 good.example"]}, "550 5.4.4"),
        ({"MX": ["0 ."]}, "556 5.1.10"),
        ({"MX": ["10 missing.example"]}, "550 5.1.2"),
        (Trouble.SERVFAIL, "451 4.4.3"),
        (None, "550 5.1.2"),
    ],
    ids=["literal MX", "null MX", "unresolvable", "servfail", "nxdomain"],
)
def test_dns_answers_become_outcomes(records: object, reply: str) -> None:
    zone = {"good.example": {"A": ["127.0.0.1"]}}
    if records is not None:
        zone["example.org"] = records  # type: ignore[assignment]
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.replies == [reply]
    assert sink.sessions == []


def test_an_mx_on_this_machine_is_a_loop_unless_a_route_says_so() -> None:
    zone = {"example.org": {"MX": ["10 mx.example.org"]}, "mx.example.org": {"A": ["127.0.0.1"]}}
    with Sink() as sink, DnsServer(zone) as dns:
        queued = message(1, "ann@example.org")
        looped = Delivery(
            "mx:example.org", queued, dns=dns.address, transport=Esmtp(mx_port=sink.port)
        )
        routed = Delivery(f"relay:example.org:{sink.port}", queued, dns=dns.address)
    assert looped.replies == ["554 5.4.6"]
    assert routed.results == [Result.SENT]
    assert routed.only.remote == "mx.example.org [127.0.0.1]"


def test_a_relay_on_localhost_needs_no_dns() -> None:
    with Sink() as sink:
        delivery = Delivery(f"relay:localhost:{sink.port}", message(1, "ann@example.org"))
    assert delivery.results == [Result.SENT]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_a_relay_by_ipv6_address() -> None:
    with Sink(host="::1") as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.only.remote == "[::1]"


def test_an_mx_that_is_an_alias_works() -> None:
    zone = {
        "example.org": {"MX": ["10 alias.example.org"]},
        "alias.example.org": {"CNAME": ["mx.example.org"]},
        "mx.example.org": {"A": ["127.0.0.1"]},
    }
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.results == [Result.SENT]


def test_of_fifty_mx_only_some_are_tried() -> None:
    zone: dict[str, dict[str, list[str]]] = {
        f"mx{number}.example.org": {"A": [f"127.0.1.{number}"]} for number in range(1, 50)
    }
    zone["last.example.org"] = {"A": ["127.0.0.1"]}
    hosts = [f"{number} mx{number}.example.org" for number in range(1, 50)]
    zone["example.org"] = {"MX": [*hosts, "99 last.example.org"]}
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.replies == ["451 4.4.1"]
    assert sink.sessions == []
