"""Step 6, ESMTP: from a next hop to an open session.

The words of a next hop (`policy.routing` writes them):

    mx:DOMAIN                      the MX of the domain, port 25
    relay:HOST:PORT[/REQUIRED]     a relay from a route; with REQUIRED never in clear
    relay:HOST:PORT/SMTPS          the same with TLS from the first byte

HOST is an address "[192.0.2.1]" or a name whose MX, then addresses are looked up.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mta.protocol.mx import MxHost, is_ip
from mta.protocol.reply import Reply
from mta.protocol.smtp_client import (
    DEFAULT_TIMEOUTS,
    SmtpClient,
)
from mta.protocol.smtp_stream import (
    ConnectFailed,
    SmtpError,
    SmtpStream,
    TlsFailed,
    UntrustedCertificate,
    open_stream,
)
from mta.transports.base import DeliveryContext
from mta.transports.esmtp_security import Guard, InsecureLookup, NoStartTls, Security

MAX_ADDRESSES = 10

# Seconds for a whole request: whatever a peer does, the worker is free again after this.
SESSION_LIFETIME = 1800.0


class Tls(StrEnum):
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "REQUIRED"
    IMPLICIT = "SMTPS"


@dataclass(frozen=True, slots=True)
class Nexthop:
    """A next hop taken apart. `host` is a domain for an MX look-up when `relay` is false."""

    host: str
    port: int
    tls: Tls
    relay: bool


def parse_nexthop(word: str, mx_port: int = 25) -> Nexthop:
    """Raises ValueError when the word is none of those above."""
    kind, _, rest = word.partition(":")
    if kind == "mx" and rest:
        return Nexthop(rest, mx_port, Tls.OPPORTUNISTIC, relay=False)
    place, slash, security = rest.partition("/")
    host, _, port = place.rpartition(":")
    if kind != "relay" or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{word!r} is not a next hop of the esmtp transport")
    try:
        tls = Tls(security) if slash else Tls.OPPORTUNISTIC
    except ValueError:
        raise ValueError(f"{word!r} asks for an unknown kind of security") from None
    return Nexthop(f"[{host}]" if is_ip(host) else host, int(port), tls, relay=True)


@dataclass(frozen=True, slots=True)
class Target:
    """One address of one host. `remote` is how reports name it."""

    name: str
    address: str

    @property
    def remote(self) -> str:
        return self.name if self.name.startswith("[") else f"{self.name} [{self.address}]"

    @property
    def server_name(self) -> str:
        """For TLS: the name asked for, or the bare address where there is none."""
        return self.address if self.name.startswith("[") else self.name


def targets_of(hosts: Sequence[MxHost]) -> list[Target]:
    every = [Target(host.name, address) for host in hosts for address in host.addresses]
    return every[:MAX_ADDRESSES]


class Unprotected(SmtpError):
    """The peer will never do what a message with REQUIRETLS demands (RFC 8689 4.2.1, 5)."""

    code = 550
    status = "5.7.30"


class Refused(Exception):
    """The peer answered the greeting, EHLO or HELO with 4xx or 5xx: final for this attempt."""

    def __init__(self, reply: Reply, remote: str, command: str) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.remote = remote
        self.command = command


class Unreachable(Exception):
    """No target gave a session; `cause` is the trouble with the last one, at `remote`."""

    def __init__(self, cause: SmtpError, remote: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.remote = remote


@dataclass(slots=True)
class Connection:
    """A client past EHLO. `tls` is the protocol and cipher, "" in clear, or "failed: why"."""

    client: SmtpClient
    remote: str
    tls: str


class Connector:
    """Opens connections to the targets of one request, in order, for as long as it lasts.

    With `requiretls` only to peers that prove their name by certificate and list REQUIRETLS.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        nexthop: Nexthop,
        context: DeliveryContext,
        security: Security,
        *,
        requiretls: bool = False,
    ) -> None:
        self._targets = list(targets)
        self._nexthop = nexthop
        self._requiretls = requiretls
        self._security = security
        self._hostname = context.hostname
        self._timeouts = {**DEFAULT_TIMEOUTS, **context.timeouts}
        self._expires = time.monotonic() + self._timeouts.get("session", SESSION_LIFETIME)
        self._guards: dict[Target, Guard] = {}

    def connect(self) -> Connection:
        """A connection to the first target that gives one; those that do not are not tried again.

        Raises Refused, Unreachable.
        """
        failure: Unreachable | None = None
        while self._targets:
            target = self._targets[0]
            try:
                return self._connect_to(target)
            except SmtpError as error:
                # A host that was only away may yet have the protection that another lacks.
                if failure is None or not isinstance(error, Unprotected | InsecureLookup):
                    failure = Unreachable(error, target.remote)
                self._targets.pop(0)
        raise failure or Unreachable(ConnectFailed("no address to connect to"), "")

    def _connect_to(self, target: Target) -> Connection:
        guard = self._guards.get(target)
        if guard is None:
            guard = self._security.guard(target.name, requiretls=self._requiretls)
            self._guards[target] = guard
        while True:
            try:
                return self._open(target, guard)
            except TlsFailed as error:
                if guard.relax(error):
                    continue
                if self._requiretls and isinstance(error, UntrustedCertificate):
                    raise Unprotected(f"REQUIRETLS: {error}") from error
                raise guard.explain(error) from error

    def _open(self, target: Target, guard: Guard) -> Connection:
        left = self._expires - time.monotonic()
        if left <= 0:
            raise ConnectFailed("the time for this next hop is used up")
        timeout = min(self._timeouts["connect"], left)
        stream = open_stream(target.address, self._nexthop.port, timeout, left)
        try:
            return self._greet(stream, target, guard)
        except BaseException:
            stream.close()
            raise

    def _greet(self, stream: SmtpStream, target: Target, guard: Guard) -> Connection:
        implicit = self._nexthop.tls is Tls.IMPLICIT
        if implicit:
            stream.start_tls(guard.tls_context(), target.server_name, self._timeouts["helo"])
            guard.check(stream)
        client = SmtpClient(stream, self._timeouts)
        _require_positive(client.greeting(), target, "")
        self._hello(client, target)
        note = "" if implicit else self._secure(client, target, guard)
        if self._requiretls and "REQUIRETLS" not in client.offered:
            raise Unprotected("the peer does not support REQUIRETLS")
        guard.settled(stream)
        return Connection(client, target.remote, stream.tls or note)

    def _hello(self, client: SmtpClient, target: Target) -> None:
        _require_positive(client.hello(self._hostname), target, f"EHLO {self._hostname}")

    def _secure(self, client: SmtpClient, target: Target, guard: Guard) -> str:
        """STARTTLS when offered. Gives the note for the timeline when it stays clear."""
        if guard.stays_clear:
            return guard.note
        if "STARTTLS" not in client.offered:
            self._stay_in_clear(guard, "the peer does not offer STARTTLS", offered=False)
            return ""
        reply = client.start_tls(guard.tls_context(), target.server_name)
        if reply.code != 220:
            why = f"the peer refused STARTTLS: {reply}"
            self._stay_in_clear(guard, why, for_good=reply.is_permanent)
            return f"failed: {reply}"
        guard.check(client.stream)
        try:
            self._hello(client, target)
        except SmtpError as error:
            # A peer that dislikes the handshake may say so only with the first data after it.
            raise TlsFailed(f"no session after the TLS handshake: {error}") from error
        return ""

    def _stay_in_clear(
        self, guard: Guard, why: str, *, offered: bool = True, for_good: bool = True
    ) -> None:
        """Raises Unprotected, NoStartTls where clear text will not do."""
        try:
            guard.without_starttls(why, offered=offered)
        except NoStartTls as error:
            if self._requiretls and for_good:
                raise Unprotected(f"REQUIRETLS: {why}") from error
            raise


def _require_positive(reply: Reply, target: Target, command: str) -> None:
    if not reply.is_positive:
        raise Refused(reply, target.remote, command)
