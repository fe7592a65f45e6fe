"""Counting connections, and addresses as policy knows them."""

from ipaddress import ip_address

import pytest

from mta.ingress import connections as module
from mta.ingress.connections import Connections, network_of, plain_address


def opened(connections: Connections, address: str) -> tuple[int, int, int]:
    return connections.opened(address)[:3]


def test_counts_by_address_by_network_and_in_all():
    connections = Connections()
    assert opened(connections, "192.0.2.1") == (1, 1, 1)
    assert opened(connections, "192.0.2.1") == (2, 2, 2)
    assert opened(connections, "192.0.2.200") == (1, 3, 3)
    assert opened(connections, "198.51.100.1") == (1, 1, 4)
    connections.closed("192.0.2.1")
    assert opened(connections, "192.0.2.200") == (2, 3, 4)
    for address in ("192.0.2.1", "192.0.2.200", "192.0.2.200", "198.51.100.1"):
        connections.closed(address)
    assert connections.total == 0
    assert opened(connections, "192.0.2.1") == (1, 1, 1)


class Clock:
    """Tells what a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def new(connections: Connections, address: str) -> int:
    """One more connection of the address, closed at once."""
    count = connections.opened(address).new
    connections.closed(address)
    return count


def test_new_connections_count_for_a_minute():
    clock = Clock()
    connections = Connections(clock)
    assert [new(connections, "192.0.2.1") for _ in range(30)] == list(range(1, 31))
    assert new(connections, "192.0.2.2") == 1
    # The minute slides: half a minute into the next one, half of them are forgotten.
    clock.now += 90
    assert new(connections, "192.0.2.1") == 16
    clock.now += 120
    assert new(connections, "192.0.2.1") == 1


def test_new_connections_of_ever_new_addresses_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_ADDRESSES", 100)
    connections = Connections(Clock())
    for number in range(1000):
        assert new(connections, str(ip_address("2001:db8::") + number)) == 1
    assert new(connections, "192.0.2.1") == 1
    assert new(connections, "192.0.2.1") == 2


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ],
)
def test_networks(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("peer", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_an_ipv4_client_is_one_by_whichever_socket_it_came(peer, plain):
    assert plain_address(peer) == plain
