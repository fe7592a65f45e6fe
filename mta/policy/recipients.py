"""Who an address is: alias expansion, the RCPT rules about our own domains, de-duplication.

Facts: Courier's aliases (spec 3.6) and de-duplication (3.7).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mta.policy.facts import DomainKind, Facts, Policy, RcptFacts, Resolution, Standing
from mta.policy.rule import Finding, Rule, accept, passed, refuse
from mta.protocol import address as addresses
from mta.protocol import extension, status, verp, virtual_domain
from mta.protocol import srs as srs_protocol
from mta.protocol.envelope import Recipient
from mta.protocol.srs import SrsError

MAX_TARGETS = 10_000
MAX_DEPTH = 100
# What is told about one address; the expansion itself goes on.
MAX_STEPS = 1000

_NO_WAY_ON = (Standing.UNKNOWN, Standing.DISABLED, Standing.LOOP, Standing.BAD_RETURN_PATH)


class Lookup(Protocol):
    """What expansion asks of the directory. `mailbox` is None when there is none, else whether
    it is enabled; `alias` is None when there is none; `quota` and `sizelimit` are those of a
    mailbox in octets, 0 for none; `postmaster` is that of this host. `separators` are the
    characters that set a domain's extensions off ("ann+lists"), "" when it has none;
    `returns_to` is whom a bounce to a return path of ours is for, and raises SrsError."""

    @property
    def postmaster(self) -> str: ...

    def domain_kind(self, domain: str) -> DomainKind | None: ...

    def separators(self, domain: str) -> str: ...

    def returns_to(self, address: str) -> str: ...

    def mailbox(self, address: str) -> bool | None: ...

    def alias(self, name: str) -> tuple[str, ...] | None: ...

    def quota(self, address: str) -> int: ...

    def sizelimit(self, address: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Expanded:
    """The recipients a message is queued for, and the lists it was expanded from."""

    recipients: tuple[Recipient, ...]
    lists: tuple[Recipient, ...]


def resolve(address: str, lookup: Lookup) -> Resolution:
    """Follow aliases from an address to the end. Each name is expanded once, so loops end."""
    expansion = _Expansion(lookup)
    try:
        standing = expansion.follow(address)
    except _TooMuch as error:
        # All or nothing: a list is never delivered in part.
        return Resolution(address, Standing.LOOP, steps=(str(error), *expansion.steps))
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
    )


def expand(accepted: Sequence[tuple[Recipient, Resolution]], *, verp: bool = False) -> Expanded:
    """Every final address once. A direct recipient wins over a list member, because it
    carries the sender's DSN wishes; members are queued NOTIFY=NEVER (spec 3.6).

    With `verp` whatever is replaced is a list: the sender must never see an address that it does
    not know (spec 2.8).
    """

    def is_list(recipient: Recipient, resolution: Resolution) -> bool:
        return resolution.is_list or (verp and _is_replaced(recipient, resolution))

    direct = [each for each in accepted if not is_list(*each)]
    lists = [each for each in accepted if is_list(*each)]
    seen: dict[str, Recipient] = {}
    for recipient, resolution in direct:
        _add(seen, _replaced(recipient, resolution))
    for _, resolution in lists:
        members = (
            Recipient(target, notify="NEVER", forwarded_by=resolution.address)
            for target in resolution.targets
        )
        _add(seen, members)
    return Expanded(tuple(seen.values()), tuple(_once(recipient for recipient, _ in lists)))


@Rule
def mailbox(facts: Facts, policy: Policy) -> Finding:
    """A mailbox of ours."""
    resolution = _rcpt(facts).resolution
    if resolution.standing is Standing.MAILBOX:
        return accept("a mailbox here")
    if resolution.standing is Standing.DISABLED:
        return refuse("the mailbox is disabled", 550, "5.2.1", "the mailbox is disabled")
    return passed("not a mailbox here")


@Rule
def alias(facts: Facts, policy: Policy) -> Finding:
    """An alias of ours. It opens no relaying: an alias for foreign targets is our own wish."""
    resolution = _rcpt(facts).resolution
    if resolution.standing is Standing.ALIAS:
        return accept("; ".join(resolution.steps[:5]))
    if resolution.standing is Standing.LOOP:
        return refuse(
            "; ".join(resolution.steps[:5]) or "an alias without end",
            550,
            status.ROUTING_LOOP,
            "the alias leads nowhere",
        )
    return passed("not an alias here")


@Rule
def srs(facts: Facts, policy: Policy) -> Finding:
    """A return path of ours (SRS). It takes reports only: else whoever has seen one could send
    mail of his own through us."""
    resolution = _rcpt(facts).resolution
    shown = f"<{addresses.wire(resolution.address)}>"
    if resolution.standing is Standing.BAD_RETURN_PATH:
        reason = resolution.steps[-1]
        return refuse(reason, 550, status.BAD_MAILBOX, f"{shown}: {reason}")
    if resolution.standing is not Standing.RETURN_PATH:
        return passed("not a return path of ours")
    if facts.mail is not None and facts.mail.reverse_path:
        text = f"{shown}: this address takes delivery reports only"
        return refuse("not from the null sender", 550, status.NOT_PERMITTED, text)
    return accept("; ".join(resolution.steps[:5]))


@Rule
def backup_domain(facts: Facts, policy: Policy) -> Finding:
    """A domain we take mail for and pass on (backup MX)."""
    if _rcpt(facts).resolution.standing is Standing.BACKUP:
        return accept("we are a backup MX for the domain")
    return passed("not a backup MX domain")


@Rule
def unknown_here(facts: Facts, policy: Policy) -> Finding:
    """Nobody of that name in a domain of ours: refused now, so that it never bounces."""
    resolution = _rcpt(facts).resolution
    if resolution.standing is Standing.UNKNOWN:
        return refuse(
            "no mailbox and no alias of that name",
            550,
            status.BAD_MAILBOX,
            f"<{addresses.wire(resolution.address)}>: no such user here",
        )
    return passed("the domain is not ours")


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

    def follow(self, address: str, account: str = "") -> Standing:
        """Where the address leads. `account` takes it when it is nobody's own: a virtual domain
        made it an extension of that account.

        LOOP says that it came round to itself. An address that is UNKNOWN is no target.
        """
        local, domain = addresses.split(address)
        kind = self._lookup.domain_kind(domain)
        if kind is DomainKind.LOCAL:
            return self._follow_home(address, local, account)
        if kind is not DomainKind.HOSTED:
            self._end(address)
            return Standing.FOREIGN if kind is None else Standing.BACKUP
        name = address.lower()
        return (
            self._exact(name)
            or self._return_path(address)
            or self._extension(name, account.lower())
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
        if len(members) == 1 and virtual_domain.is_pattern(members[0]):
            return self._virtual(name, local, members[0])
        home = self._home
        return self._members(
            catch_all, [virtual_domain.mapped(each, local, home) for each in members]
        )

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

    def _members(self, name: str, members: Iterable[str]) -> Standing:
        self._names.add(name)
        members = tuple(members)
        self.is_list = self.is_list or len(members) > 1
        self._tell(f"{name} stands for {', '.join(members[:10])}")
        for member in members:
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


def _replaced(recipient: Recipient, resolution: Resolution) -> Iterable[Recipient]:
    """The recipient under its final address; the address it was given becomes its ORCPT."""
    forwarded_by = resolution.address if resolution.standing is Standing.ALIAS else ""
    for target in resolution.targets or (recipient.address,):
        if target == recipient.address:
            yield recipient
        else:
            original = recipient.original_recipient or f"rfc822;{recipient.address}"
            yield replace(
                recipient,
                address=target,
                original_recipient=original,
                forwarded_by=forwarded_by,
            )


def _is_replaced(recipient: Recipient, resolution: Resolution) -> bool:
    given = recipient.address.lower()
    return any(target.lower() != given for target in resolution.targets)


def _add(seen: dict[str, Recipient], recipients: Iterable[Recipient]) -> None:
    for recipient in recipients:
        seen.setdefault(recipient.address, recipient)


def _once(recipients: Iterable[Recipient]) -> Iterable[Recipient]:
    return {recipient.address.lower(): recipient for recipient in recipients}.values()


def _rcpt(facts: Facts) -> RcptFacts:
    assert facts.rcpt is not None
    return facts.rcpt
