"""Step 6, ESMTP and LMTP: from a next hop to an open session.

The words of a next hop (`policy.routing` writes them):

    mx:DOMAIN[OPTIONS]             the MX of the domain, port 25
    relay:HOST:PORT[OPTIONS]       a relay from a route

    /REQUIRED                      never in clear
    /STARTTLS                      never in clear, nor without a certificate of that name
    /SMTPS                         TLS from the first byte
    /NONE                          never TLS
    /IPV4ONLY, /IPV6ONLY           addresses of one kind only
    /AUTH=N                        sign in with the credentials of route N

HOST is an address "[192.0.2.1]" or a name whose MX, then addresses are looked up.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

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
    open_unix_stream,
)
from mta.transports import esmtp_auth
from mta.transports.base import DeliveryContext
from mta.transports.esmtp_security import Guard, InsecureLookup, NoStartTls, Security

MAX_ADDRESSES = 10

# Seconds for a whole request: whatever a peer does, the worker is free again after this.
SESSION_LIFETIME = 1800.0


class Tls(StrEnum):
    OPPORTUNISTIC = "opportunistic"
    NONE = "NONE"
    REQUIRED = "REQUIRED"
    VERIFIED = "STARTTLS"
    IMPLICIT = "SMTPS"


@dataclass(frozen=True, slots=True)
class Nexthop:
    """A next hop taken apart. `host` is a domain for an MX look-up when `relay` is false.

    `ip_version` is 4, 6 or 0 for both; `credentials` the number of a route, 0 for none. `lmtp` is
    true for the next hops of the lmtp transport, which has words of its own.
    """

    host: str
    port: int
    tls: Tls
    relay: bool
    ip_version: int = 0
    credentials: int = 0
    lmtp: bool = False

    @property
    def verified(self) -> bool:
        """Whether the certificate must prove the name: for its own sake, or for a password's."""
        signs_in_under_tls = bool(self.credentials) and self.tls is not Tls.NONE
        return self.tls is Tls.VERIFIED or signs_in_under_tls


_IP_VERSIONS = {"IPV4ONLY": 4, "IPV6ONLY": 6}


def parse_nexthop(word: str, mx_port: int = 25) -> Nexthop:
    """Raises ValueError when the word is none of those above."""
    kind, _, rest = word.partition(":")
    place, *options = rest.split("/")
    tls, ip_version, credentials = _parse_options(word, options)
    if kind == "mx" and place and not credentials:
        return Nexthop(place, mx_port, tls, relay=False, ip_version=ip_version)
    host, _, port = place.rpartition(":")
    if kind != "relay" or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{word!r} is not a next hop of the esmtp transport")
    host = f"[{host}]" if is_ip(host) else host
    return Nexthop(host, int(port), tls, True, ip_version, credentials)


def _parse_options(word: str, options: Sequence[str]) -> tuple[Tls, int, int]:
    """(TLS, IP version, number of the route with credentials)."""
    tls, ip_version, credentials = Tls.OPPORTUNISTIC, 0, 0
    for option in options:
        number = option.removeprefix("AUTH=")
        if option in _IP_VERSIONS:
            ip_version = _IP_VERSIONS[option]
        elif number != option and number.isdecimal():
            credentials = int(number)
        elif option in set(Tls) - {Tls.OPPORTUNISTIC}:
            tls = Tls(option)
        else:
            raise ValueError(f"{word!r} is not a next hop: its option {option!r} is unknown")
    return tls, ip_version, credentials


@dataclass(frozen=True, slots=True)
class Target:
    """One address of one host, or a socket's path. `remote` is how reports name it."""

    name: str
    address: str

    @property
    def is_socket(self) -> bool:
        return self.address.startswith("/")

    @property
    def remote(self) -> str:
        """Where things lie on this machine is nobody's business who reads a report."""
        bare = self.name.startswith("[") or self.is_socket
        return self.name if bare else f"{self.name} [{self.address}]"

    @property
    def server_name(self) -> str:
        """For TLS: the name asked for, or the bare address where there is none."""
        return self.address if self.name.startswith("[") else self.name


def targets_of(hosts: Sequence[MxHost], ip_version: int = 0) -> list[Target]:
    """The addresses to try, in order; only those of one IP version unless that is 0."""
    every = [Target(host.name, address) for host in hosts for address in host.addresses]
    kept = [each for each in every if ip_version in (0, ip_address(each.address).version)]
    return kept[:MAX_ADDRESSES]


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
    """A client past EHLO. `tls` is the protocol and cipher, "" in clear, or "failed: why".

    `is_relay`: it is the relay of a route, not a host that the DNS names. `is_final`: it keeps the
    mailboxes, so that mail which it has taken is delivered.
    """

    client: SmtpClient
    remote: str
    tls: str
    is_relay: bool = False
    is_final: bool = False


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
        self._credentials = context.credentials
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
        if target.is_socket:
            stream = open_unix_stream(target.address, timeout, left)
        else:
            stream = open_stream(target.address, self._nexthop.port, timeout, left)
        try:
            return self._greet(stream, target, guard)
        except BaseException:
            stream.close()
            raise

    def _greet(self, stream: SmtpStream, target: Target, guard: Guard) -> Connection:
        implicit = self._nexthop.tls is Tls.IMPLICIT
        if implicit:
            stream.start_tls(guard.tls_context(), self._server_name(target), self._timeouts["helo"])
            guard.check(stream)
        client = SmtpClient(stream, self._timeouts, lmtp=self._nexthop.lmtp)
        _require_positive(client.greeting(), target, "")
        self._hello(client, target)
        note = "" if implicit else self._secure(client, target, guard)
        if self._requiretls and "REQUIRETLS" not in client.offered:
            raise Unprotected("the peer does not support REQUIRETLS")
        guard.settled(stream)
        if self._nexthop.credentials:
            self._sign_in(client, target)
        return Connection(client, target.remote, stream.tls or note, self._nexthop.relay)

    def _server_name(self, target: Target) -> str:
        """A relay must prove the name in its route: the DNS may lie about whose MX it has."""
        named = self._nexthop.relay and self._nexthop.verified
        host = self._nexthop.host
        return host if named and not host.startswith("[") else target.server_name

    def _sign_in(self, client: SmtpClient, target: Target) -> None:
        credentials = self._credentials(self._nexthop.credentials)
        if credentials is None:
            raise Refused(esmtp_auth.unreadable(), target.remote, "AUTH")
        failure = esmtp_auth.sign_in(client, credentials, target.address)
        if failure is not None:
            raise Refused(failure, target.remote, "AUTH")

    def _hello(self, client: SmtpClient, target: Target) -> None:
        verb = "LHLO" if client.lmtp else "EHLO"
        _require_positive(client.hello(self._hostname), target, f"{verb} {self._hostname}")

    def _secure(self, client: SmtpClient, target: Target, guard: Guard) -> str:
        """STARTTLS when offered. Gives the note for the timeline when it stays clear."""
        if guard.stays_clear:
            return guard.note
        if "STARTTLS" not in client.offered:
            self._stay_in_clear(guard, "the peer does not offer STARTTLS", offered=False)
            return ""
        reply = client.start_tls(guard.tls_context(), self._server_name(target))
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
