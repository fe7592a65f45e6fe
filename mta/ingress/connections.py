"""How many connections there are, in all, per address and per network."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


class Connections:
    """The open connections of this process."""

    def __init__(self) -> None:
        self._addresses: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._addresses.total()

    def opened(self, client_ip: str) -> tuple[int, int, int]:
        """Counts with this one: of the address, of its /24 or /64, in all."""
        network = network_of(client_ip)
        self._addresses[client_ip] += 1
        self._networks[network] += 1
        return self._addresses[client_ip], self._networks[network], self.total

    def closed(self, client_ip: str) -> None:
        for counter, key in (
            (self._addresses, client_ip),
            (self._networks, network_of(client_ip)),
        ):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]


def network_of(client_ip: str) -> str:
    """The /24 or /64 an address lies in."""
    prefix = 24 if ip_address(client_ip).version == 4 else 64
    return str(ip_network(f"{client_ip}/{prefix}", strict=False))


def plain_address(peer: str) -> str:
    """A peer's address as policy knows it: without zone, an IPv4-mapped one as IPv4."""
    address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)
