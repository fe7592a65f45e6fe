"""How many connections there are, in all, per address and per network, and how many are new."""

import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

MINUTE = 60.0
# Addresses whose new connections are counted at a time. With more of them than that each is
# nobody's flood, and the count begins anew.
MAX_ADDRESSES = 100_000


class Counts(NamedTuple):
    """Connections, the one just opened included: of the address, of its /24 or /64, in all;
    and how many the address opened within the last minute."""

    address: int
    network: int
    total: int
    new: int


class Connections:
    """The open connections of this process. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._addresses: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()
        self._rate = _Rate(clock)

    @property
    def total(self) -> int:
        return self._addresses.total()

    def with_arriving(self, client_ip: str, arriving: "Connections") -> Counts:
        """The counts if those who are still `arriving` were open, too; nobody is new by that."""
        network = network_of(client_ip)
        both = (self, arriving)
        return Counts(
            sum(each._addresses[client_ip] for each in both),
            sum(each._networks[network] for each in both),
            sum(each.total for each in both),
            0,
        )

    def opened(self, client_ip: str) -> Counts:
        network = network_of(client_ip)
        self._addresses[client_ip] += 1
        self._networks[network] += 1
        return Counts(
            self._addresses[client_ip],
            self._networks[network],
            self.total,
            self._rate.one_more(client_ip),
        )

    def closed(self, client_ip: str) -> None:
        for counter, key in (
            (self._addresses, client_ip),
            (self._networks, network_of(client_ip)),
        ):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]


class _Rate:
    """Events per key in a sliding minute, from the counts of this minute and the last one.

    Of the last minute that share is counted which the sliding one still covers. So a key costs
    two numbers, however often it comes.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._current: Counter[str] = Counter()
        self._last: Counter[str] = Counter()

    def one_more(self, key: str) -> int:
        """How often the key came within the last minute, this time included."""
        elapsed = self._clock() - self._began
        if elapsed >= MINUTE:
            self._turn(elapsed - elapsed % MINUTE)
        elif len(self._current) >= MAX_ADDRESSES:
            self._turn(elapsed)
        still_covered = 1.0 - (self._clock() - self._began) / MINUTE
        self._current[key] += 1
        return self._current[key] + int(self._last[key] * max(0.0, still_covered))

    def _turn(self, seconds: float) -> None:
        """Begin a new count, so many seconds after the last one."""
        self._began += seconds
        self._last = self._current if seconds < 2 * MINUTE else Counter()
        self._current = Counter()


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
