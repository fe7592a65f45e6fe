"""The database's answers to the questions policy asks, as frozen facts.

One `Directory` serves one process. What is small (domains, access rules, routes, settings) is
loaded whole when the policy version changes; mailboxes and aliases are looked up one by one and
remembered until then. A version is compared once per MAIL by the ingress and once per batch by
a worker (`refresh`), so a change is in force for the next MAIL in every process.
"""

import hmac
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from django.contrib.auth.hashers import check_password

from mta import mailbox_judge, system_accounts
from mta.models import (
    Alias,
    Mailbox,
    PolicyState,
    Program,
    ReportText,
    Route,
    Settings,
    Webhook,
)
from mta.password_cache import PasswordCache
from mta.policy import resolution, routing
from mta.policy.facts import (
    AccountFact,
    DomainKind,
    MailboxRules,
    Policy,
    Resolution,
    Standing,
    UserFacts,
)
from mta.protocol import address as addresses
from mta.protocol import alias_program, scram, srs
from mta.protocol import program as programs
from mta.protocol import webhook as webhooks
from mta.protocol.auth_client import Credentials
from mta.protocol.bang_path import Neighbourhood
from mta.protocol.esmtproutes import parse_relay
from mta.protocol.sealed import Unreadable
from mta.protocol.uux import UuxTerms, parse_flags
from mta.queue import prepared
from mta.queue.loop_connection import LoopConnection, Statement
from mta.stored_policy import stored_policy
from mta.system_accounts import SystemAccounts

log = logging.getLogger(__name__)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _NotAsked:
    """Stands for "nothing is known", where None is an answer."""


_NOT_ASKED = _NotAsked()

CACHE_SIZE = 100_000
# What an unknown user costs to check must be what a known one costs.
_NO_PASSWORD = "pbkdf2_sha256$1000000$courierweb$" + "A" * 43 + "="


class Directory:
    """Facts of one process; safe to use from several threads."""

    def __init__(self, hostname: str, secret: bytes = b"") -> None:
        """`secret` is of the whole appliance; keys that `scram_keys` makes up hang on it."""
        self._hostname = hostname
        self._secret = secret or os.urandom(32)
        self._srs_key = hmac.digest(self._secret, b"srs", "sha256")
        self._lock = threading.Lock()
        self._policy = Policy(version=0, hostname=hostname)
        self._settings: Settings | None = None
        self._report_texts: dict[str, str] = {}
        self._programs: dict[str, Program] = {}
        self._webhooks: dict[str, Webhook] = {}
        self._mailboxes: dict[str, Mailbox | None] = {}
        self._aliases: dict[str, tuple[str, ...] | None] = {}
        self._users: dict[str, UserFacts] = {}
        self._resolutions: dict[str, Resolution] = {}
        self._passing: dict[str, tuple[float, Resolution]] = {}
        self._delivered_by: dict[str, str] = {}
        self._accounts: SystemAccounts | None = None
        self._passwords = PasswordCache()

    @property
    def policy(self) -> Policy:
        """The policy as of the last `refresh`; version 0 before the first."""
        return self._policy

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self.refresh()
        assert self._settings is not None
        return self._settings

    @property
    def backuprelay(self) -> str:
        """The next hop of the setting `backuprelay`, "" without one."""
        text = self.settings.backuprelay
        return routing.relay_word(*parse_relay(text)) if text else ""

    @property
    def report_texts(self) -> Mapping[str, str]:
        """The wording of reports that an administrator has replaced, by name."""
        return self._report_texts

    def refresh(self) -> Policy:
        """The policy in force now. Raises OperationalError when the database is away."""
        version = current_version()
        if version == self._policy.version:
            return self._policy
        with self._lock:
            while version != self._policy.version:
                self._load(version)
                # Nothing may have changed while the tables were read.
                version = current_version()
        return self._policy

    def known_resolution(self, address: str) -> Resolution | None:
        """What `resolve` said of the address before, if it is still in force; no I/O."""
        known = self._resolutions.get(address)
        if known is None:
            until, known = self._passing.get(address, (0.0, None))
            return known if until > time.monotonic() else None
        return known

    def resolve(self, address: str) -> Resolution:
        """The address after alias expansion."""
        known = self.known_resolution(address)
        if known is None:
            policy, resolutions, passing = self._policy, self._resolutions, self._passing
            delivered_by = self._delivered_by
            known = resolution.resolve(address, self)
            for target, account in known.accounts.items():
                _remember(delivered_by, target, account)
            # A return path expires, which changes no policy.
            if policy is self._policy and not srs.is_srs(address):
                if not (known.passing and self._accounts):
                    _remember(resolutions, address, known)
                elif known.standing is not Standing.UNANSWERED:
                    until = time.monotonic() + system_accounts.CACHE_SECONDS
                    _remember(passing, address, (until, known))
        return known

    def known_account(self, address: str) -> str | None:
        """What `account` would say of an address that was resolved before; no I/O."""
        return self._delivered_by.get(address)

    @property
    def postmaster(self) -> str:
        return f"postmaster@{self._hostname}"

    @property
    def uucp(self) -> Neighbourhood:
        return self._policy.uucp

    @property
    def uux(self) -> UuxTerms:
        settings = self.settings
        flags = parse_flags(settings.uuxflags)
        return UuxTerms(self._policy.uucp, flags, settings.uucprewriteheaders)

    def domain_kind(self, domain: str) -> DomainKind | None:
        return self._policy.domain_kind(domain)

    def separators(self, domain: str) -> str:
        """The characters that set extensions off in a hosted domain."""
        return self._policy.separators.get(domain, "")

    def returns_to(self, address: str) -> str:
        """Whom a bounce to a return path of ours is for. Raises SrsError."""
        return srs.reverse(address, self._srs_key, srs.day_of(time.time()))

    def mailbox(self, address: str) -> bool | None:
        """Whether the mailbox is enabled; None when there is none."""
        row = self._mailbox(address)
        return None if row is None else row.enabled

    def user(self, address: str) -> UserFacts:
        """The authenticated user of that name, as policy sees it now."""
        row = self._mailbox(address.lower())
        if row is None:
            return UserFacts(address, enabled=False)
        known = self._users.get(row.address)
        if known is None:
            users, grants = self._users, row.sender_grants.values_list("pattern", flat=True)
            facts = UserFacts(row.address, row.enabled, row.submission_sizelimit, tuple(grants))
            known = _remember(users, row.address, facts)
        return known

    def alias(self, name: str) -> tuple[str, ...] | None:
        aliases = self._aliases
        known = aliases.get(name, _NOT_ASKED)
        if not isinstance(known, _NotAsked):
            return known
        row = Alias.objects.filter(name=name).values_list("targets", flat=True).first()
        return _remember(aliases, name, None if row is None else tuple(row))

    def alias_instructions(self, name: str) -> tuple[str, ...]:
        """The members of an alias that are programs ("|command") or files ("/path")."""
        return alias_program.instructions_among(self.alias(name) or ())

    def system_account(self, local_part: str) -> AccountFact | None:
        """The system's user whom a local part of the host's own domain belongs to. Raises
        CannotTell."""
        return self._accounts.find(local_part) if self._accounts else None

    def account(self, address: str) -> str | None:
        """Who delivers the address by instructions: the name of a system's user, or
        "alias:NAME@DOMAIN" for an alias with programs or files; None for nobody. Raises
        CannotTell."""
        return resolution.account(address, self) if self.nexthop(address) == "" else None

    def is_mailbox(self, address: str) -> bool:
        """Whether mail for the address ends in a Maildir here."""
        return self.nexthop(address) == "" and self._mailbox(address.lower()) is not None

    def nexthop(self, address: str, reverse_path: str = "") -> str:
        return routing.nexthop(address, self._policy, reverse_path)

    def book(self, reverse_path: str) -> "AddressBook":
        """What transports claim addresses by, for the mail of one sender."""
        return _SenderBook(self, reverse_path) if self._policy.sender_routes else self

    def credentials(self, route_id: int) -> Credentials | None:
        """Of a route that has some; None when they are gone or cannot be read."""
        row = Route.objects.filter(pk=route_id).exclude(user="").first()
        try:
            return row.credentials() if row else None
        except Unreadable as error:
            log.error("the password of the route %s cannot be used: %s", row, error)
            return None

    def program(self, name: str) -> programs.Program | None:
        """What `pipe:NAME` runs; None when there is no such row."""
        row = self._programs.get(name)
        return row.facts() if row else None

    def webhook(self, name: str) -> webhooks.Webhook | None:
        """What `http:NAME` posts to; None when there is no such row, or its secret cannot be
        read."""
        row = self._webhooks.get(name)
        try:
            return row.facts() if row else None
        except Unreadable as error:
            log.error("the secret of the webhook %s cannot be used: %s", name, error)
            return None

    def quota(self, address: str) -> int:
        """Octets; 0 for none."""
        row = self._mailbox(address.lower())
        return row.quota if row else 0

    def sizelimit(self, address: str) -> int:
        """The largest message the mailbox takes, octets; 0 for any size."""
        row = self._mailbox(address.lower())
        return row.sizelimit if row else 0

    def rules(self, address: str, account: str | None) -> MailboxRules | None:
        """What the owner of the address has to say within the session, None for nothing. `account`
        is who delivers it by instructions, if anybody does."""
        row = self._mailbox(address.lower())
        if row is not None:
            return mailbox_judge.rules_of(row)
        if account is None:
            return None
        return mailbox_judge.rules_of_account(address, account, self.settings.accountfilters)

    def authenticate(self, user: str, password: str) -> bool:
        """Whether the password is that of an enabled mailbox. Takes its time on purpose."""
        row = self._mailbox(user.lower())
        encoded = row.password if row and row.enabled and row.password else ""
        if encoded and self._passwords.knows(encoded, password):
            return True
        correct = check_password(password, encoded or _NO_PASSWORD) and bool(encoded)
        if correct:
            self._passwords.learn(encoded, password)
        return correct

    def scram_keys(self, user: str) -> scram.StoredKeys:
        """The keys of an enabled mailbox; for everybody else some that no proof fits, always the
        same, so that the exchange does not tell who is here."""
        row = self._mailbox(user.lower())
        if row and row.enabled and row.scram:
            try:
                return scram.StoredKeys.from_text(row.scram)
            except scram.BadKeys as error:
                log.error("the SCRAM keys of %s cannot be used: %s", row.address, error)
        return scram.fake_keys(self._secret, user)

    def _mailbox(self, address: str) -> Mailbox | None:
        mailboxes = self._mailboxes
        known = mailboxes.get(address, _NOT_ASKED)
        if not isinstance(known, _NotAsked):
            return known
        local, domain = addresses.split(address)
        row = Mailbox.objects.filter(domain__name=domain, local_part=local).first()
        return _remember(mailboxes, address, row)

    def _load(self, version: int) -> None:
        settings = Settings.load()
        srs_key = self._srs_key if settings.srs else b""
        self._policy = stored_policy(version, self._hostname, settings, srs_key)
        self._accounts = _accounts(settings)
        self._settings = settings
        self._report_texts = dict(ReportText.objects.values_list("name", "text"))
        self._programs = {row.name: row for row in Program.objects.all()}
        self._webhooks = {row.name: row for row in Webhook.objects.all()}
        self._mailboxes = {}
        self._aliases = {}
        self._users = {}
        self._resolutions = {}
        self._passing = {}
        self._delivered_by = {}


class AddressBook(Protocol):
    """What a transport asks when it claims an address."""

    def is_mailbox(self, address: str) -> bool: ...

    def account(self, address: str) -> str | None: ...

    def nexthop(self, address: str) -> str: ...


class _SenderBook:
    """The directory as it is for the mail of one sender."""

    def __init__(self, directory: Directory, reverse_path: str) -> None:
        self._directory = directory
        self._reverse_path = reverse_path

    def is_mailbox(self, address: str) -> bool:
        return self.nexthop(address) == "" and self._directory.mailbox(address.lower()) is not None

    def account(self, address: str) -> str | None:
        return resolution.account(address, self._directory) if not self.nexthop(address) else None

    def nexthop(self, address: str) -> str:
        return self._directory.nexthop(address, self._reverse_path)


_VERSION = "SELECT version FROM mta_policystate WHERE id = 1"
_VERSION_FROM_LOOP = Statement("policy_version", _VERSION)


def current_version() -> int:
    return _only_version(prepared.execute(_VERSION, {}))


async def version_from_loop(database: LoopConnection) -> int:
    """`current_version` for the event loop of the ingress."""
    return _only_version(await database.execute(_VERSION_FROM_LOOP, {}))


def _only_version(rows: Sequence[tuple[Any, ...]]) -> int:
    if not rows:
        raise PolicyState.DoesNotExist("the database has no policy version: run migrate")
    return int(rows[0][0])


def _accounts(settings: Settings) -> SystemAccounts | None:
    if not settings.systemaccounts:
        return None
    return SystemAccounts(settings.minuid, settings.dotextension)


def _remember(cache: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    """Put it into the cache that was asked before the database was: when the policy changed
    in between, that cache is no longer in use, and what was read too early goes with it."""
    if len(cache) >= CACHE_SIZE:
        cache.clear()
    cache[key] = value
    return value
