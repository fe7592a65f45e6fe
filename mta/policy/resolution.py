"""Who an address is, for step 2: aliases, extensions, virtual domains, users of the system, return
paths and bang paths are followed to the end.

Facts: Courier's aliases (spec 3.6) and accounts (3.8).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from mta.policy.facts import AccountFact, DomainKind, MailboxRules, Resolution, Standing
from mta.policy.routing import CannotTell
from mta.protocol import address as addresses
from mta.protocol import alias_program, extension, verp, virtual_domain
from mta.protocol import srs as srs_protocol
from mta.protocol.bang_path import BadPath, Neighbourhood
from mta.protocol.srs import SrsError

MAX_TARGETS = 10_000
MAX_DEPTH = 100
# What is told about one address; the expansion itself goes on.
MAX_STEPS = 1000

_NO_WAY_ON = (Standing.UNKNOWN, Standing.DISABLED, Standing.LOOP, Standing.BAD_RETURN_PATH)


class Lookup(Protocol):
    """What expansion asks of the directory. `mailbox` is None when there is none, else whether
    it is enabled; `alias` is None when there is none; `quota` and `sizelimit` are those of a
    mailbox in octets, 0 for none, and `rules` are its owner's; `postmaster` is that of this host.
    `separators` are the characters that set a domain's extensions off ("ann+lists"), "" when it
    has none; `returns_to` is whom a bounce to a return path of ours is for, and raises SrsError;
    `system_account` is the system's user that a local part of the host's own domain belongs to, and
    raises CannotTell. `uucp` is our place among the hosts of UUCP."""

    @property
    def postmaster(self) -> str: ...

    @property
    def uucp(self) -> Neighbourhood: ...

    def domain_kind(self, domain: str) -> DomainKind | None: ...

    def separators(self, domain: str) -> str: ...

    def returns_to(self, address: str) -> str: ...

    def mailbox(self, address: str) -> bool | None: ...

    def alias(self, name: str) -> tuple[str, ...] | None: ...

    def system_account(self, local_part: str) -> AccountFact | None: ...

    def quota(self, address: str) -> int: ...

    def sizelimit(self, address: str) -> int: ...

    def rules(self, address: str, account: str | None) -> MailboxRules | None: ...


def resolve(address: str, lookup: Lookup) -> Resolution:
    """Follow aliases from an address to the end. Each name is expanded once, so loops end."""
    expansion = _Expansion(lookup)
    try:
        standing = expansion.follow(address)
    except _TooMuch as error:
        # All or nothing: a list is never delivered in part.
        return Resolution(address, Standing.LOOP, steps=(str(error), *expansion.steps))
    except CannotTell as error:
        steps = (*expansion.steps, str(error))
        return Resolution(address, Standing.UNANSWERED, steps=steps, passing=True)
    targets = tuple(expansion.targets)
    if standing is Standing.ALIAS and not targets:
        standing = Standing.LOOP
    mailbox = _only_mailbox(targets, lookup)
    return Resolution(
        address,
        standing,
        targets,
        tuple(expansion.steps),
        is_list=expansion.is_list,
        quota=lookup.quota(mailbox) if mailbox else 0,
        sizelimit=lookup.sizelimit(mailbox) if mailbox else 0,
        passing=expansion.passing,
        accounts=expansion.accounts,
        rules=lookup.rules(mailbox, expansion.accounts.get(mailbox)) if mailbox else None,
    )


def account(address: str, lookup: Lookup) -> str | None:
    """Who delivers a final address by instructions, None for nobody: the name of a system's user,
    or "alias:NAME@DOMAIN" for the programs and files of an alias."""
    name = address.lower()
    local, domain = addresses.split(name)
    apart = alias_program.alias_apart(name)
    if not apart:
        if lookup.mailbox(name) is not None:
            return None
        at_home = domain == addresses.split(lookup.postmaster)[1]
        owner = lookup.system_account(local) if at_home else None
        if owner is not None:
            return owner.name
    for alias in (apart,) if apart else (name, f"@{domain}"):
        if alias_program.instructions_among(lookup.alias(alias) or ()):
            return f"{alias_program.HOP}{alias}"
    return None


class _TooMuch(Exception):
    """An alias that grows beyond any use."""


class _Expansion:
    """One walk through the aliases; collects final addresses in order of discovery."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._names: set[str] = set()
        self._depth = 0
        self.targets: dict[str, None] = {}
        self.steps: list[str] = []
        self.is_list = False
        self.passing = False
        self.accounts: dict[str, str] = {}

    def follow(self, address: str, account: str = "") -> Standing:
        """Where the address leads. `account` takes it when it is nobody's own: a virtual domain
        made it an extension of that account.

        LOOP says that it came round to itself. An address that is UNKNOWN is no target.
        """
        local, domain = addresses.split(address)
        kind = self._lookup.domain_kind(domain)
        if "!" in local and self._is_ours(domain) and (found := self._bang_path(address, local)):
            return found
        if kind is DomainKind.LOCAL:
            return self._follow_home(address, local, account)
        if kind is not DomainKind.HOSTED:
            self._end(address)
            return Standing.FOREIGN if kind is None else Standing.BACKUP
        name = address.lower()
        if alias_program.alias_apart(name):
            self._tell(f"{name} is a name that only this host gives")
            return Standing.UNKNOWN
        return (
            self._exact(name)
            or self._return_path(address)
            or self._extension(name, account.lower())
            or self._account(name)
            or self._whole_domain(name, local)
            or self._postmaster(name)
        )

    def _exact(self, name: str) -> Standing | None:
        """An alias of that name, else a mailbox; an alias that names itself means the mailbox."""
        if name not in self._names and (members := self._lookup.alias(name)):
            return self._members(name, members)
        enabled = self._lookup.mailbox(name)
        if enabled is None:
            return None
        self._end(name)
        return Standing.MAILBOX if enabled else Standing.DISABLED

    def _return_path(self, address: str) -> Standing | None:
        """A bounce of mail that an alias of ours sent on is for the sender of that (SRS)."""
        if not srs_protocol.is_srs(address):
            return None
        try:
            sender = self._lookup.returns_to(address)
        except SrsError as error:
            self._tell(str(error))
            return Standing.BAD_RETURN_PATH
        self._tell(f"{address} is a return path of ours for {sender}")
        standing = self._deeper(sender)
        return standing if standing in _NO_WAY_ON else Standing.RETURN_PATH

    def _is_ours(self, domain: str) -> bool:
        """Also by the host's own name, whether or not it has mailboxes."""
        kind = self._lookup.domain_kind(domain)
        return kind in (DomainKind.LOCAL, DomainKind.HOSTED) or domain == self._home

    def _bang_path(self, address: str, local: str) -> Standing | None:
        """A path that begins with a neighbour of ours; any other name with a "!" is just a name."""
        try:
            way = self._lookup.uucp.way(local)
        except BadPath as error:
            self._tell(f"{address}: {error}")
            return Standing.UNKNOWN
        if way is None:
            return None
        self._tell(f"{address} is {way.user} at {way.system}, by UUCP")
        # A path is the same at each of our names.
        self._end(f"{local}@{self._home}")
        return Standing.UUCP

    def _extension(self, name: str, account: str) -> Standing | None:
        """Whoever has the name without its extension."""
        local, domain = addresses.split(name)
        separators = self._lookup.separators(domain)
        names = [f"{each}@{domain}" for each in extension.shorter(local, separators)]
        # A bounce of VERP mail comes to its sender, whatever sets off extensions here.
        if varied := verp.decode(name):
            names.append(varied[0])
        for shorter in dict.fromkeys([*names, account] if account else names):
            if self._is_known(shorter):
                self._tell(f"{name} is {shorter} with an extension")
                return self._exact(shorter)
        return None

    def _programs_of(self, name: str) -> str:
        """The address of an alias's programs and files: its own, if nobody else has it."""
        if self._lookup.mailbox(name) is None and self._owner(name) is None:
            return name
        return alias_program.apart(name)

    def _owner(self, name: str) -> AccountFact | None:
        """The system's user whom an address of the host's own domain belongs to."""
        local, domain = addresses.split(name)
        if domain != self._home:
            return None
        self.passing = True
        return self._lookup.system_account(local)

    def _account(self, name: str) -> Standing | None:
        """A user of the system, who must have instructions for an extension. Who has none is not
        looked for any further: what a user does not want is nobody else's (spec 3.8)."""
        owner = self._owner(name)
        if owner is None:
            return None
        if not owner.takes:
            self._tell(f"{name}: the user {owner.name} has no instructions for {owner.extension}")
            return Standing.UNKNOWN
        extended = f", with the extension {owner.extension}" if owner.extension else ""
        self._tell(f"{name} is the user {owner.name} of this system{extended}")
        self._end_by(name, owner.name)
        return Standing.ACCOUNT

    def _is_known(self, name: str) -> bool:
        if name not in self._names and self._lookup.alias(name):
            return True
        return self._lookup.mailbox(name) is not None

    def _whole_domain(self, name: str, local: str) -> Standing | None:
        """What "@domain" stands for: a catch-all, or another name for each address."""
        if name in self._names:
            self._tell(f"{name} comes round to itself and is no mailbox")
            return Standing.LOOP
        catch_all = f"@{addresses.split(name)[1]}"
        members = self._lookup.alias(catch_all)
        if not members:
            return None
        self._names.add(name)
        others = [each for each in members if not alias_program.is_instruction(each)]
        if len(members) == len(others) == 1 and virtual_domain.is_pattern(others[0]):
            return self._virtual(name, local, others[0])
        mapped = [virtual_domain.mapped(each, local, self._home) for each in others]
        return self._members(catch_all, [*alias_program.instructions_among(members), *mapped], name)

    def _virtual(self, name: str, local: str, pattern: str) -> Standing:
        """A virtual domain knows only whom its account knows: others are refused, not bounced."""
        target = virtual_domain.mapped(pattern, local, self._home)
        self._tell(f"{name} is {target} by its virtual domain ({pattern})")
        if "@" not in pattern and not self._hosts_home:
            self._tell(f"this host hosts no {self._home}")
            return Standing.UNKNOWN
        standing = self._deeper(target, virtual_domain.account(pattern, self._home))
        return standing if standing in _NO_WAY_ON else Standing.ALIAS

    def _postmaster(self, name: str) -> Standing:
        """Every domain has a postmaster (RFC 5321 4.5.1): who has no own gets that of the host."""
        local, domain = addresses.split(name)
        if local == "postmaster" and domain != self._home and self._hosts_home:
            return self._members(name, (self._lookup.postmaster,))
        self._tell(f"{name} is nobody here")
        return Standing.UNKNOWN

    @property
    def _home(self) -> str:
        """The host's own domain."""
        return addresses.split(self._lookup.postmaster)[1]

    @property
    def _hosts_home(self) -> bool:
        return self._lookup.domain_kind(self._home) is DomainKind.HOSTED

    def _follow_home(self, address: str, local: str, account: str) -> Standing:
        """Another name of this host: its addresses are those of the host's own domain."""
        home = self._home
        if not self._hosts_home:
            self._tell(f"{address} is for this host, which hosts no {home}")
            return Standing.UNKNOWN
        self._tell(f"{address} is for {local}@{home}")
        return self.follow(f"{local}@{home}", account)

    def _members(self, name: str, members: Iterable[str], programs: str = "") -> Standing:
        """Each member for itself, but programs and files as one recipient, with the address
        `programs` if the alias is for a whole domain."""
        self._names.add(name)
        members = tuple(members)
        others = [each for each in members if not alias_program.is_instruction(each)]
        runs = len(others) < len(members)
        self.is_list = self.is_list or len(others) + runs > 1
        self._tell(f"{name} stands for {', '.join(members[:10])}")
        if runs:
            self._end_by(programs or self._programs_of(name), f"{alias_program.HOP}{name}")
        for member in others:
            if self._deeper(member) in (Standing.UNKNOWN, Standing.BAD_RETURN_PATH):
                # It is kept, so that it fails visibly, with the list's name.
                self._end(member)
        return Standing.ALIAS

    def _deeper(self, address: str, account: str = "") -> Standing:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooMuch(f"aliases within aliases, more than {MAX_DEPTH} deep")
        standing = self.follow(address, account)
        self._depth -= 1
        return standing

    def _tell(self, step: str) -> None:
        if len(self.steps) < MAX_STEPS:
            self.steps.append(step)

    def _end_by(self, address: str, account: str) -> None:
        """A target that is delivered to by the instructions of an account, or of an alias."""
        self._end(address)
        self.accounts[address] = account

    def _end(self, address: str) -> None:
        if address in self.targets:
            self._tell(f"{address} has its copy already")
        self.targets.setdefault(address)
        if len(self.targets) > MAX_TARGETS:
            raise _TooMuch(f"more than {MAX_TARGETS} targets")


def _only_mailbox(targets: Sequence[str], lookup: Lookup) -> str:
    """The single target, if it is one of ours, else "". Several are independent: what one mailbox
    does not take refuses no list."""
    if len(targets) != 1:
        return ""
    kind = lookup.domain_kind(addresses.split(targets[0])[1])
    return targets[0] if kind is DomainKind.HOSTED else ""
