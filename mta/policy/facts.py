"""What policy knows: the configuration in force and what the client has said so far.

All of it is frozen. `mta.directory` makes the configuration, the ingress (or the simulator, or
a test) makes the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address


class DomainKind(StrEnum):
    HOSTED = "hosted"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Access:
    """One access rule. `network` is the prefix it is for."""

    network: IPv4Network | IPv6Network
    allow: bool
    relay: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class RouteFact:
    """One route: `relay` is "[ip]", a host name or "discard"."""

    domain: str
    relay: str
    port: int
    security: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in octets, counts as numbers; 0 means no limit for the connection limits."""

    size: int = 50 * 1024 * 1024
    recipients: int = 100
    recipients_submission: int = 1000
    connections_per_address: int = 20
    connections_per_network: int = 60
    connections: int = 1000
    header_size: int = 128 * 1024
    line_length: int = 64 * 1024
    hops: int = 50


@dataclass(frozen=True, slots=True)
class Times:
    """What a message gets on its way into the queue."""

    submitdelay: timedelta = timedelta(0)
    queuetime: timedelta = timedelta(days=5)
    dsn_queuetime: timedelta = timedelta(days=2)
    warntime: timedelta = timedelta(hours=4)


@dataclass(frozen=True)
class Policy:
    """The configuration in force, as of `version`. `hostname` is our own name."""

    version: int
    hostname: str
    domains: Mapping[str, DomainKind] = field(default_factory=dict)
    access: tuple[Access, ...] = ()
    routes: Mapping[str, RouteFact] = field(default_factory=dict)
    limits: Limits = Limits()
    times: Times = Times()
    auth_in_clear_on_loopback: bool = False

    def domain_kind(self, domain: str) -> DomainKind | None:
        """What the domain is to us: its own row, else the nearest ".parent" row."""
        kind = self.domains.get(domain)
        if kind is not None or not self.domains:
            return kind
        for parent in parents(domain):
            kind = self.domains.get(parent)
            if kind is not None:
                return kind
        return None

    def access_for(self, client_ip: str) -> Access | None:
        """The rule of the longest prefix that holds the address (`access` is sorted so)."""
        if not self.access or not client_ip:
            return None
        address = ip_address(client_ip)
        for rule in self.access:
            if rule.network.version == address.version and address in rule.network:
                return rule
        return None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One connection. `client_ip` is "" for a local program; IPv4-mapped is given as IPv4.

    `tls` describes the cipher, "" in clear. The counts include this connection and are 0 where
    they are not counted (a simulator).
    """

    client_ip: str
    listener: str = "smtp"
    auth_required: bool = False
    helo: str = ""
    tls: str = ""
    auth_user: str = ""
    same_address: int = 0
    same_network: int = 0
    all_connections: int = 0

    @property
    def is_loopback(self) -> bool:
        return bool(self.client_ip) and ip_address(self.client_ip).is_loopback


class Standing(StrEnum):
    """What an address turned out to be."""

    MAILBOX = "mailbox"
    DISABLED = "disabled"
    ALIAS = "alias"
    BACKUP = "backup"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Resolution:
    """An address after alias expansion: where it stands, and the addresses it ends in.

    `steps` tells each expansion in words. `is_list` says that an alias with several members
    was on the way, so that members are nobody the sender knows.
    """

    address: str
    standing: Standing
    targets: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class MailFacts:
    """MAIL: `declared_size` in octets, 0 when not given. `user_enabled` says whether the
    authenticated user, if there is one, still has an enabled mailbox."""

    reverse_path: str
    declared_size: int = 0
    smtputf8: bool = False
    user_enabled: bool = True


@dataclass(frozen=True, slots=True)
class RcptFacts:
    """RCPT: `earlier` counts the recipients accepted before in this transaction."""

    resolution: Resolution
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class ContentFacts:
    """The content at the end of DATA, measured. Sizes in octets."""

    size: int
    header_size: int = 0
    hops: int = 0
    longest_line: int = 0
    bare_line_ends: bool = False
    eight_bit_header: bool = False


@dataclass(frozen=True, slots=True)
class AuthFacts:
    """AUTH: `accepted` is None while only asking whether AUTH may be used at all."""

    mechanism: str
    user: str = ""
    accepted: bool | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision may look at; what the stage has not reached yet is None."""

    session: SessionFacts
    auth: AuthFacts | None = None
    mail: MailFacts | None = None
    rcpt: RcptFacts | None = None
    content: ContentFacts | None = None


def parents(domain: str) -> list[str]:
    """ ".b.c", ".c" for "a.b.c": the wildcard names above a domain, nearest first."""
    labels = domain.split(".")
    return ["." + ".".join(labels[index:]) for index in range(1, len(labels))]
