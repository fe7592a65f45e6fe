"""Bang paths, the addresses of UUCP, and our own kind of address (RFC 976, spec 9.2). Pure.

A path names hosts in the order in which mail passes them, and last a user:

    food!fruits!apple       the user apple at fruits, which food knows
    example.com!ann         ann@example.com, as a host of UUCP writes it

A path that begins with one of our neighbours is the local part of an address of this host:
food!fruits!apple@mail.example.com.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mta.protocol import address as addresses

FORWARD, GATEWAY, RELAY = "F", "G", "R"
FLAGS = FORWARD + GATEWAY + RELAY
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_MAX_HOSTS = 16
_NOBODY = "mailer-daemon"


def is_path(text: str) -> bool:
    """Whether the text names hosts, one or several, and no user."""
    hosts = text.split("!")
    return len(hosts) <= _MAX_HOSTS and all(map(_HOST.match, hosts))


class BadPath(ValueError):
    """The path leads nowhere; the message says why."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a path leads: `rmail` runs at `system`, "food!fruits", with `user` as its word."""

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Our place in the world of UUCP.

    `me` is our node's name there. `home` is the domain of this host, `domains` are its other
    names: their users are users of our node. `neighbours` maps the paths that mail may take to
    their flags: F lets it go on from there to anywhere, G as well, but has that host do it, R has
    that host pass mail on to those listed behind it.
    """

    me: str = ""
    home: str = ""
    domains: frozenset[str] = frozenset()
    neighbours: Mapping[str, str] = field(default_factory=dict)

    def way(self, path: str) -> Way | None:
        """Where a path leads, None when it does not begin with a neighbour. Raises BadPath."""
        path = self._without_me(path)
        hosts = path.split("!")
        user = hosts.pop()
        if not hosts or hosts[0] not in self.neighbours:
            return None
        if not user or not is_path("!".join(hosts)):
            raise BadPath("invalid UUCP bang path")
        count = self._hosts_passed(hosts)
        return Way("!".join(hosts[:count]), "!".join([*hosts[count:], user]))

    def _hosts_passed(self, hosts: list[str]) -> int:
        """After how many of the hosts rmail is to run. Raises BadPath where one is not allowed."""
        relay = 0
        for count in range(1, len(hosts) + 1):
            flags = self.neighbours.get("!".join(hosts[:count]))
            if flags is None:
                raise BadPath("unknown UUCP bang path")
            if GATEWAY in flags:
                return relay or count
            if FORWARD in flags:
                break
            if RELAY in flags:
                relay = relay or count
        return relay or len(hosts)

    def outside(self, address: str) -> str:
        """How others name an address, by a path through us: "example!example.com!ann".

        "" stays "".
        """
        return f"{self.me}!{self._path(address)}" if address else ""

    def at(self, system: str, address: str) -> str:
        """How `system` names an address that it is to send mail on to."""
        path = self._without_me(self._path(address))
        return path.removeprefix(f"{system}!")

    def header(self, system: str, address: str) -> str:
        """How a header names an address to the readers at `system`."""
        there = self.at(system, address)
        return there if there != self._without_me(self._path(address)) else self.outside(address)

    def inside(self, path: str) -> str:
        """The address that a path from outside stands for. Raises BadPath."""
        path = self._without_me(path)
        if "@" in path:
            return path
        first, bang, rest = path.partition("!")
        if not bang:
            return f"{path}@{self.home}"
        if not all(path.split("!")):
            raise BadPath("invalid UUCP bang path")
        return f"{path}@{self.home}" if first in self.neighbours else f"{rest}@{first}"

    def sender(self, path: str) -> str:
        """`inside` for a reverse-path; "" for the mail of a program. Raises BadPath."""
        path = path.strip().removeprefix("<").removesuffix(">")
        return "" if path.rpartition("!")[2].lower() in ("", _NOBODY) else self.inside(path)

    def _path(self, address: str) -> str:
        local, domain = addresses.split(address)
        ours = not domain or domain == self.home or domain in self.domains
        return local if ours else f"{domain}!{local}"

    def _without_me(self, path: str) -> str:
        rest = path.removeprefix(f"{self.me}!")
        return rest if self.me and rest else path
