"""Counting connections, and addresses as policy knows them."""

import pytest

from mta.ingress.connections import Connections, network_of, plain_address


def test_counts_by_address_by_network_and_in_all():
    connections = Connections()
    assert connections.opened("192.0.2.1") == (1, 1, 1)
    assert connections.opened("192.0.2.1") == (2, 2, 2)
    assert connections.opened("192.0.2.200") == (1, 3, 3)
    assert connections.opened("198.51.100.1") == (1, 1, 4)
    connections.closed("192.0.2.1")
    assert connections.opened("192.0.2.200") == (2, 3, 4)
    for address in ("192.0.2.1", "192.0.2.200", "192.0.2.200", "198.51.100.1"):
        connections.closed(address)
    assert connections.total == 0
    assert connections.opened("192.0.2.1") == (1, 1, 1)


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
