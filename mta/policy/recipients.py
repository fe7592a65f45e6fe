"""The RCPT rules about our own domains, and whom an accepted message is queued for.

Facts: Courier's aliases (spec 3.6) and de-duplication (3.7).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mta.policy.facts import Facts, Policy, RcptFacts, Resolution, Standing
from mta.policy.rule import Finding, Rule, accept, passed, refuse
from mta.protocol import address as addresses
from mta.protocol import status
from mta.protocol.envelope import Recipient


@dataclass(frozen=True, slots=True)
class Expanded:
    """The recipients a message is queued for, and the lists it was expanded from."""

    recipients: tuple[Recipient, ...]
    lists: tuple[Recipient, ...]


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
    """A mailbox of ours, or a user of the system."""
    resolution = _rcpt(facts).resolution
    if resolution.standing is Standing.MAILBOX:
        return accept("a mailbox here")
    if resolution.standing is Standing.ACCOUNT:
        return accept("a user of this system")
    if resolution.standing is Standing.UNANSWERED:
        text = "the address cannot be looked up now, try again later"
        return refuse(resolution.steps[-1], 451, status.LOCAL_ERROR, text)
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
def uucp_neighbour(facts: Facts, policy: Policy) -> Finding:
    """A path to a neighbour of ours. Who listed the neighbour wished that mail for it is taken."""
    resolution = _rcpt(facts).resolution
    if resolution.standing is Standing.UUCP:
        return accept(resolution.steps[-1])
    return passed("not a path to a UUCP neighbour")


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


def _replaced(recipient: Recipient, resolution: Resolution) -> Iterable[Recipient]:
    """The recipient under its final address; the address it was given becomes its ORCPT."""
    is_alias = resolution.standing is Standing.ALIAS
    forwarded_by = resolution.address if is_alias else recipient.forwarded_by
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
