"""What the tests ask of a peer, whichever program it is."""

import smtplib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self

from tests.peers.packages import tree
from tests.peers.root import Account, Root
from tests.support.appliance import Maildir, free_ports, is_listening, wait_for
from tests.support.sink import self_signed

# The people at every peer.
PEOPLE = ("alice", "bob", "carla")
# CARLA refuses messages with this field, where the peer lets her.
UNWANTED, REFUSAL = "X-Unwanted", "Carla does not want this"
STARTS_WITHIN = 20.0


class Peer(ABC):
    """One running peer that is responsible for `domain` and sends mail for `ours` to us.

    Use it as a context manager. It greets as mail.DOMAIN on `port`, takes mail for everybody from
    loopback, offers DSN and STARTTLS, and uses STARTTLS where it is offered.
    """

    PACKAGES: ClassVar[Sequence[str]]
    NAME: ClassVar[str]
    ACCOUNTS: ClassVar[Sequence[Account]]

    def __init__(self, cache: Path, ours: str, our_port: int) -> None:
        self.domain = f"{self.NAME}.test"
        self.hostname = f"mail.{self.domain}"
        self.ours = ours
        self.our_port = our_port
        (self.port,) = free_ports(1)
        self.root = Root(tree(cache, self.PACKAGES), self.ACCOUNTS)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.root)
            self.configure()
            self.launch()
            self._wait_until_it_answers()
            self._at_the_end = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._at_the_end.close()

    def _wait_until_it_answers(self) -> None:
        try:
            wait_for(lambda: is_listening(self.port), f"{self.NAME} to answer", STARTS_WITHIN)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self.log()}") from error

    @property
    def relay(self) -> str:
        """How a route names it."""
        return f"127.0.0.1:{self.port}"

    @abstractmethod
    def configure(self) -> None:
        """Write its configuration into its root."""

    @abstractmethod
    def launch(self) -> None:
        """Start its programs."""

    @abstractmethod
    def maildir(self, name: str) -> Maildir:
        """The mailbox of one of PEOPLE."""

    def log(self) -> str:
        """All that it has said."""
        return self.root.log()

    def address(self, name: str) -> str:
        return f"{name}@{self.domain}"

    def smtp(self) -> smtplib.SMTP:
        """A connection of one of its own programs to it; EHLO is said."""
        client = smtplib.SMTP("127.0.0.1", self.port, "localhost", timeout=60)
        client.ehlo()
        return client

    def certificate(self) -> bytes:
        """Its certificate and key, in PEM."""
        return b"".join(reversed(self_signed(self.hostname)))
