"""Step 6, ESMTP: what a connection to a host must prove, and what to do when it does not.

DANE (RFC 7672) beats MTA-STS (RFC 8461), which beats opportunistic TLS (RFC 7435). A message with
REQUIRETLS (RFC 8689) and a route that asks for TLS demand on their own account.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from mta.protocol import tlsa
from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.mta_sts import Mode
from mta.protocol.mx import MxError
from mta.protocol.smtp_client import unverified_tls, verified_tls
from mta.protocol.smtp_stream import SmtpError, SmtpStream, TlsFailed, UntrustedCertificate
from mta.protocol.tls_result import (
    MAX_DETAIL,
    NO_POLICY,
    PolicyType,
    StsFinding,
    TlsResult,
    TlsWord,
    word_for,
)
from mta.protocol.tlsa import DaneMismatch, TlsaRecord
from mta.transports.base import DeliveryContext


class Level(IntEnum):
    """How much a connection proves."""

    CLEAR = 0
    ENCRYPTED = 1
    AUTHENTICATED = 2


class NotProtected(SmtpError):
    """The host cannot be used under the policy of its domain; another one may do."""

    status = "4.7.4"


class NoStartTls(TlsFailed):
    """The peer refuses STARTTLS."""


class NoTlsOffered(NoStartTls):
    """The peer does not even offer it."""

    status = "4.7.4"


class InsecureLookup(SmtpError):
    """The way to the host's name is not secured, as REQUIRETLS demands (RFC 8689 4.2.1)."""

    code = 550
    status = "5.7.10"


@dataclass(frozen=True, slots=True)
class Demand:
    """The level to begin with, the least that will do, and who asks for it.

    `tlsa` holds the usable records when a certificate is to be judged by them.
    """

    policy: PolicyType
    best: Level
    least: Level
    tlsa: tuple[TlsaRecord, ...] = ()


OPPORTUNISTIC = Demand(PolicyType.NONE, Level.ENCRYPTED, Level.CLEAR)


class Guard:
    """Watches over the connections to one host, and remembers what did not work there."""

    def __init__(
        self, demand: Demand, host: str, names: Sequence[str], security: "Security"
    ) -> None:
        self._demand = demand
        self._host = host
        self._names = names
        self._security = security
        self._level = demand.best
        self.note = ""

    @property
    def stays_clear(self) -> bool:
        """TLS was tried here and failed, and is not needed."""
        return self._level is Level.CLEAR

    @property
    def may_be_clear(self) -> bool:
        return self._demand.least is Level.CLEAR

    def tls_context(self) -> ssl.SSLContext:
        """Certificates that TLSA records judge are not judged by authorities (RFC 7672 3.1)."""
        by_authorities = self._level is Level.AUTHENTICATED and not self._demand.tlsa
        return verified_tls() if by_authorities else unverified_tls()

    def check(self, stream: SmtpStream) -> None:
        """After a handshake. Raises UntrustedCertificate when it proves too little."""
        if self._level is not Level.AUTHENTICATED or not self._demand.tlsa:
            return
        try:
            tlsa.check(self._demand.tlsa, stream.chain, self._names)
        except DaneMismatch as error:
            raise UntrustedCertificate(f"untrusted certificate: {error}") from error

    def settled(self, stream: SmtpStream) -> None:
        """A session is open and as protected as it will be."""
        if stream.tls and not self.note:
            self._tell(TlsWord.SUCCESS)

    def without_starttls(self, why: str, *, offered: bool) -> None:
        """Raises NoStartTls where clear text will not do."""
        self._tell(TlsWord.NO_STARTTLS, why)
        if not self.may_be_clear:
            kind = NoStartTls if offered else NoTlsOffered
            raise kind(f"{self._host}: {why}, but TLS is required{self._by()}")

    def relax(self, error: TlsFailed) -> bool:
        """Whether to try again with less after a failure, which is put on record."""
        if isinstance(error, NoStartTls):
            return False
        self._tell(word_for(error), str(error))
        lower = (
            Level.ENCRYPTED
            if isinstance(error, UntrustedCertificate) and self._level is Level.AUTHENTICATED
            else Level.CLEAR
        )
        if lower < self._demand.least or self._level is Level.CLEAR:
            return False
        self._level = lower
        self.note = f"failed: {error}"
        return True

    def explain(self, error: TlsFailed) -> TlsFailed:
        """The same failure with the name of the host and of who asks for more."""
        if isinstance(error, NoStartTls):
            return error
        return type(error)(f"{self._host}: {error}{self._by()}")

    def _by(self) -> str:
        return {PolicyType.TLSA: " (DANE)", PolicyType.STS: " (MTA-STS)"}.get(
            self._demand.policy, ""
        )

    def _tell(self, word: TlsWord, detail: str = "") -> None:
        self._security.tell(self._host, self._demand.policy, word, detail)


class Security:
    """The policies that concern one next hop; looked up as far as they are needed.

    `domain` is what the MX look-up was for, or the host of a relay; `resolver` the one that did
    it, which knows whether DNSSEC proved the answers. `route` is what a route asks for itself.
    """

    def __init__(
        self,
        domain: str,
        port: int,
        context: DeliveryContext,
        resolver: DnsResolver | None,
        *,
        relay: bool,
        route: Demand | None = None,
    ) -> None:
        self._domain = domain.lower()
        self._port = port
        self._context = context
        self._resolver = resolver
        self._relay = relay
        self._route = route
        self._literal = domain.startswith("[") or domain == "localhost"
        self._tlsa: dict[str, Demand | None] = {}
        self._sts = NO_POLICY
        self._sts_known = False

    def guard(self, host: str, *, requiretls: bool) -> Guard:
        """For connections to one host. Raises NotProtected, InsecureLookup when none may be made.

        May ask the DNS and fetch a policy.
        """
        demand = self._demand(host)
        if requiretls:
            demand = self._with_requiretls(demand, host)
        return Guard(demand, host, (host, self._domain), self)

    def tell(self, host: str, policy: PolicyType, word: TlsWord, detail: str = "") -> None:
        result = TlsResult(self._domain, host, policy, word, detail[:MAX_DETAIL])
        self._context.tls_seen(result)

    def _demand(self, host: str) -> Demand:
        route = self._route
        if route is not None and route.best is Level.CLEAR:
            # The administrator knows why there is no TLS on this way.
            return route
        found = self._by_dane(host) or self._by_sts(host)
        if route is not None and (found is None or found.least < route.least):
            return route
        return found or OPPORTUNISTIC

    def _with_requiretls(self, demand: Demand, host: str) -> Demand:
        """RFC 8689 4.2.1: the name must be beyond doubt, and the certificate must prove it."""
        policy = self._sts.policy
        secured = (
            self._relay
            or self._literal
            or self._proven(self._domain)
            or (policy is not None and policy.mode is Mode.ENFORCE and policy.allows(host))
        )
        if not secured:
            text = f"the MX look-up of {self._domain} is not secured by DNSSEC or MTA-STS"
            self.tell(host, PolicyType.REQUIRETLS, TlsWord.DNSSEC_INVALID, text)
            raise InsecureLookup(f"REQUIRETLS support required: {text}")
        if demand.least is Level.AUTHENTICATED:
            return demand
        return Demand(PolicyType.REQUIRETLS, Level.AUTHENTICATED, Level.AUTHENTICATED)

    def _proven(self, name: str) -> bool:
        return self._context.dane and self._resolver is not None and self._resolver.proven(name)

    def _by_dane(self, host: str) -> Demand | None:
        """Raises NotProtected when the records of a host in a signed zone cannot be had."""
        if host not in self._tlsa:
            self._tlsa[host] = self._ask_tlsa(host)
        return self._tlsa[host]

    def _ask_tlsa(self, host: str) -> Demand | None:
        """RFC 7672 2.2: only where MX and addresses are proven does it make sense to ask.

        Servers of unsigned zones may choke on TLSA, and what they said would prove nothing. In a
        signed zone an answer that does not come may have been held back, so the host waits.
        """
        if self._literal or host.startswith("[") or not self._proven(self._domain):
            return None
        if not self._proven(host):
            return None
        name = f"_{self._port}._tcp.{host}"
        resolver = DnsResolver(self._context.dns)
        try:
            records = resolver.tlsa(name)
        except MxError as error:
            if error.permanent:
                return None
            self.tell(host, PolicyType.TLSA, TlsWord.DNSSEC_INVALID, str(error))
            raise NotProtected(f"{host}: its TLSA records cannot be had: {error}") from error
        if not records or not resolver.proven(name):
            return None
        usable = tlsa.usable(records)
        if usable:
            return Demand(PolicyType.TLSA, Level.AUTHENTICATED, Level.AUTHENTICATED, usable)
        # They promise TLS all the same (RFC 7672 2.2).
        self.tell(host, PolicyType.TLSA, TlsWord.TLSA_INVALID, "no TLSA record is usable")
        return Demand(PolicyType.TLSA, Level.ENCRYPTED, Level.ENCRYPTED)

    def _by_sts(self, host: str) -> Demand | None:
        if self._relay or self._literal:
            return None
        policy = self._policy().policy
        if policy is None or policy.mode is Mode.NONE:
            return None
        if policy.allows(host):
            enforced = policy.mode is Mode.ENFORCE
            least = Level.AUTHENTICATED if enforced else Level.CLEAR
            return Demand(PolicyType.STS, Level.AUTHENTICATED, least)
        text = f"the MTA-STS policy of {self._domain} does not list {host}"
        self.tell(host, PolicyType.STS, TlsWord.VALIDATION, text)
        if policy.mode is Mode.ENFORCE:
            raise NotProtected(text)
        return None

    def _policy(self) -> StsFinding:
        if not self._sts_known:
            self._sts = self._context.sts(self._domain)
            self._sts_known = True
            if self._sts.trouble is not None:
                self.tell("", PolicyType.STS, self._sts.trouble, self._sts.detail)
        return self._sts
