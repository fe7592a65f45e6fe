"""What policy knows: the configuration in force and what the client has said so far.

All of it is frozen. `mta.directory` makes the configuration, the ingress (or the simulator, or
a test) makes the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from mta.policy.question import Answer, Question, Unanswered
from mta.protocol.bang_path import Neighbourhood
from mta.protocol.envelope import Source
from mta.protocol.site_filter import FilterStage, FilterTerms

MAX_TERMS_KEPT = 10_000


class DomainKind(StrEnum):
    HOSTED = "hosted"
    LOCAL = "local"
    BACKUP = "backup"


class RuleState(StrEnum):
    OFF = "off"
    LOG = "log"
    ENFORCE = "enforce"


class MimeMode(StrEnum):
    """What becomes of a message that breaks the rules of MIME."""

    REJECT = "reject"
    WRAP = "wrap"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Terms:
    """What applies to a session: the word of its access rule, else of its listener, else of the
    settings. Sizes in octets; `maxperip` is 0 for no limit. `checkhelo` is Courier's 0, 1, 2."""

    sizelimit: int = 50 * 1024 * 1024
    auth_required: bool = False
    tls_required: bool = False
    checkdns: bool = True
    checkhelo: int = 0
    spf: bool = True
    dnslists: bool = True
    tarpit: bool = True
    exdata: bool = False
    maxperip: int = 20
    mime: MimeMode = MimeMode.REJECT


@dataclass(frozen=True, slots=True)
class Access:
    """One access rule. `network` is the prefix it is for.

    `blocks`: a session is served, but no recipient is accepted from who is no user. `terms` are
    those fields of `Terms` that the rule has a word on. `proxy`: its connections begin with a
    PROXY protocol header.
    """

    network: IPv4Network | IPv6Network
    allow: bool
    relay: bool
    text: str = ""
    blocks: bool = False
    proxy: bool = False
    terms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DnsListFact:
    """One DNS list. `answers` narrows it to some A answers; `text` is "*" for its TXT record."""

    zone: str
    allows: bool = False
    answers: tuple[str, ...] = ()
    text: str = ""
    state: RuleState = RuleState.ENFORCE


@dataclass(frozen=True, slots=True)
class SpfTerms:
    """SPF by identity: the results that are let through; ("off",) does not ask (spec 2.11)."""

    helo: frozenset[str] = frozenset({"off"})
    mailfrom: frozenset[str] = frozenset({"off"})
    from_: frozenset[str] = frozenset({"off"})
    harderror: frozenset[str] = frozenset({"fail", "softfail"})
    trust_relays: bool = False
    verbose: bool = True


@dataclass(frozen=True, slots=True)
class RouteFact:
    """One route: `relay` is "[ip]", a host name, "discard" or "" for the MX.

    `credentials` is the route's number when it has a user to sign in with, else 0.
    """

    domain: str
    relay: str
    port: int
    security: str = ""
    sender: str = ""
    ip_version: str = ""
    credentials: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in octets, counts as numbers; 0 means no limit for the connection limits."""

    recipients: int = 100
    recipients_submission: int = 1000
    connections_per_network: int = 60
    connections: int = 1000
    new_connections_per_address: int = 60
    recipients_hard: bool = False
    errors: int = 10
    refused_recipients: int = 20
    auth_failures: int = 20
    data_rate: int = 500
    header_size: int = 128 * 1024
    header_lines: int = 1000
    line_length: int = 64 * 1024
    hops: int = 50
    mime_depth: int = 50
    mime_parts: int = 1000


@dataclass(frozen=True, slots=True)
class Times:
    """The times a recipient in the queue lives by: how long, and when it is tried again."""

    submitdelay: timedelta = timedelta(0)
    queuetime: timedelta = timedelta(days=5)
    dsn_queuetime: timedelta = timedelta(days=2)
    warntime: timedelta = timedelta(hours=4)
    retryalpha: timedelta = timedelta(minutes=5)
    retrybeta: int = 3
    retrygamma: timedelta = timedelta(minutes=15)
    retrymaxdelta: int = 3


@dataclass(frozen=True)
class Policy:
    """The configuration in force, as of `version`. `hostname` is our own name.

    `separators` set extensions off, by domain. With `srs_key` foreign mail that aliases send on
    gets return paths of ours, made with it; without one it does not. `uucp` is our place there.
    """

    version: int
    hostname: str
    domains: Mapping[str, DomainKind] = field(default_factory=dict)
    separators: Mapping[str, str] = field(default_factory=dict)
    srs_key: bytes = field(default=b"", repr=False)
    access: tuple[Access, ...] = ()
    routes: Mapping[str, RouteFact] = field(default_factory=dict)
    sender_routes: Mapping[str, Mapping[str, RouteFact]] = field(default_factory=dict)
    limits: Limits = Limits()
    times: Times = Times()
    domain_times: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    transport_times: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    auth_in_clear_on_loopback: bool = False
    terms: Terms = Terms()
    listeners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rule_states: Mapping[str, RuleState] = field(default_factory=dict)
    dns_lists: tuple[DnsListFact, ...] = ()
    spf: SpfTerms = SpfTerms()
    bad_senders: frozenset[str] = frozenset()
    freemail: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bad_mail_hosts: tuple[IPv4Network | IPv6Network, ...] = ()
    spam_traps: frozenset[str] = frozenset()
    dsn_refusers: Mapping[str, str] = field(default_factory=dict)
    suppress_backscatter: bool = True
    vrfy: bool = False
    expn: bool = False
    uucp: Neighbourhood = Neighbourhood()
    site_filters: tuple[FilterTerms, ...] = ()
    _terms: dict[tuple[str, str], Terms] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _access_of: dict[str, Access | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

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

    def filters_at(self, stage: FilterStage, source: Source) -> tuple[FilterTerms, ...]:
        """The site filters that are asked there, in their order."""
        return self._filters_at.get((stage, source), ()) if self.site_filters else ()

    @cached_property
    def _filters_at(self) -> Mapping[tuple[FilterStage, Source], tuple[FilterTerms, ...]]:
        ordered = sorted(self.site_filters, key=lambda terms: (terms.position, terms.name))
        places: dict[tuple[FilterStage, Source], tuple[FilterTerms, ...]] = {}
        for terms in ordered:
            for source in terms.sources:
                place = (terms.stage, source)
                places[place] = (*places.get(place, ()), terms)
        return places

    def times_for(self, transport: str, address: str) -> Times:
        """Field by field: the word of the domain or its nearest ".parent", else the transport's,
        else the settings'."""
        changes = dict(self.transport_times.get(transport, {}))
        if self.domain_times:
            domain = address.rpartition("@")[2]
            for name in reversed((domain, *parents(domain))):
                changes.update(self.domain_times.get(name, {}))
        return replace(self.times, **changes) if changes else self.times

    def access_for(self, client_ip: str) -> Access | None:
        """The rule of the longest prefix that holds the address; worked out once for each."""
        if not self.access or not client_ip:
            return None
        try:
            return self._access_of[client_ip]
        except KeyError:
            pass
        address = ip_address(client_ip)
        # They are sorted, the longest prefix first.
        found = (rule for rule in self.access if address in rule.network)
        if len(self._access_of) >= MAX_TERMS_KEPT:
            self._access_of.clear()
        return self._access_of.setdefault(client_ip, next(found, None))

    def terms_for(self, client_ip: str, listener: str) -> Terms:
        """What applies to a client at a listener; worked out once for each pair."""
        key = (client_ip, listener)
        known = self._terms.get(key)
        if known is None:
            access = self.access_for(client_ip)
            listens = self.listeners.get(listener, {})
            known = replace(self.terms, **{**listens, **(access.terms if access else {})})
            if len(self._terms) >= MAX_TERMS_KEPT:
                self._terms.clear()
            self._terms[key] = known
        return known


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One connection. `client_ip` is "" for a local program; IPv4-mapped is given as IPv4.

    `tls` describes the cipher, "" in clear. `certificate` are the mail addresses in a client
    certificate that was verified. `handed_in` is how mail came that has no session, from the
    local user `uid`. The counts include this connection and are 0 where they are not counted (a
    simulator).
    """

    client_ip: str
    listener: str = "smtp"
    auth_required: bool = False
    helo: str = ""
    esmtp: bool = True
    certificate: tuple[str, ...] = ()
    proxy_ip: str = ""
    new_connections: int = 0
    tls: str = ""
    auth_user: str = ""
    same_address: int = 0
    same_network: int = 0
    all_connections: int = 0
    handed_in: Source | None = None
    uid: int | None = None

    @property
    def source(self) -> Source:
        """A listener that is for users takes no mail of anybody else."""
        if self.handed_in is not None:
            return self.handed_in
        is_submission = self.auth_user or self.auth_required
        return Source.SUBMISSION if is_submission else Source.ESMTP

    @property
    def is_loopback(self) -> bool:
        return bool(self.client_ip) and ip_address(self.client_ip).is_loopback


class Standing(StrEnum):
    """What an address turned out to be."""

    MAILBOX = "mailbox"
    ACCOUNT = "account"
    DISABLED = "disabled"
    ALIAS = "alias"
    BACKUP = "backup"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    UNANSWERED = "unanswered"
    LOOP = "loop"
    RETURN_PATH = "return-path"
    BAD_RETURN_PATH = "bad-return-path"
    UUCP = "uucp"


@dataclass(frozen=True, slots=True)
class AccountFact:
    """A user of the system that a local part belongs to. `extension` is what the local part has
    beyond the name; `takes` says whether the user has instructions for it."""

    name: str
    extension: str = ""
    takes: bool = True


@dataclass(frozen=True, slots=True)
class Resolution:
    """An address after alias expansion: where it stands, and the addresses it ends in.

    `steps` tells each expansion in words. `is_list` says that an alias with several members
    was on the way, so that members are nobody the sender knows. `quota` and `sizelimit`
    are those of the one mailbox it ends in, octets; 0 when there is none. `passing` says that it
    hangs on the system's users, who change without a change of policy. `accounts` are those targets
    that are delivered to by instructions, and who does it (`mta.policy.resolution.account`).
    """

    address: str
    standing: Standing
    targets: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    is_list: bool = False
    quota: int = 0
    sizelimit: int = 0
    passing: bool = False
    accounts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserFacts:
    """An authenticated user. `may_send_as` are patterns (see `mta.models.SenderGrant`);
    `sizelimit` is 0 for that of the server."""

    address: str
    enabled: bool = True
    sizelimit: int = 0
    may_send_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailFacts:
    """MAIL: `declared_size` in octets, 0 when not given. `user` is the authenticated user, None
    without one. `sender` says, for a user, where mail to the reverse-path would go."""

    reverse_path: str
    declared_size: int = 0
    smtputf8: bool = False
    requiretls: bool = False
    user: UserFacts | None = None
    sender: Resolution | None = None


@dataclass(frozen=True, slots=True)
class RcptFacts:
    """RCPT: `earlier` counts the recipients accepted before in this transaction.

    `unseen` says that the owner's own rules take the message whatever it holds: site filters that
    are not mandatory have no word on it. `address` is as the client gave it.
    """

    resolution: Resolution
    earlier: int = 0
    unseen: bool = False
    address: str = ""


@dataclass(frozen=True, slots=True)
class ContentFacts:
    """The content at the end of DATA, measured. Sizes in octets.

    `problems` are what is wrong with its MIME, one line each; `authors` the addresses in From.
    `recipients` are those of the transaction after alias expansion.
    """

    size: int
    header_size: int = 0
    header_lines: int = 0
    problems: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
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
    answers: Mapping[Question, Answer] = field(default_factory=dict)

    def answer(self, question: Question) -> Answer:
        """The answer to a question. Raises Unanswered when it is not among the facts."""
        known = self.answers.get(question)
        if known is None:
            raise Unanswered([question])
        return known

    def answers_to(self, questions: Sequence[Question]) -> list[Answer]:
        """The same for several, which are then asked side by side."""
        missing = [question for question in questions if question not in self.answers]
        if missing:
            raise Unanswered(missing)
        return [self.answers[question] for question in questions]


def parents(domain: str) -> list[str]:
    """ ".b.c", ".c" for "a.b.c": the wildcard names above a domain, nearest first."""
    labels = domain.split(".")
    return ["." + ".".join(labels[index:]) for index in range(1, len(labels))]
