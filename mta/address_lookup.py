"""The address resolver: what an address leads to, step by step, and where each end is delivered.

It asks the directory, the expansion and the routing that the ingress asks, with the policy in
force; nothing is queued. The console and the command `aliaslookup` call it.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from mta import runtime
from mta.directory import Directory
from mta.ingress import arguments
from mta.ingress.arguments import BadArgument
from mta.policy import recipients, routing
from mta.policy.facts import DomainKind, Policy, Resolution, Standing
from mta.protocol import address as addresses
from mta.protocol.envelope import Recipient

_WORDS = {
    Standing.MAILBOX: "a mailbox here",
    Standing.ACCOUNT: "a user of this system",
    Standing.DISABLED: "a mailbox here that is disabled: refused",
    Standing.ALIAS: "an alias",
    Standing.BACKUP: "in a domain that we are a backup MX for: passed on",
    Standing.FOREIGN: "elsewhere: taken only from who may relay",
    Standing.UNKNOWN: "nobody here: refused",
    Standing.UNANSWERED: "an address that cannot be looked up now: deferred",
    Standing.LOOP: "an alias that leads nowhere: refused",
    Standing.RETURN_PATH: "a return path of ours (SRS): takes reports only",
    Standing.UUCP: "a path to a UUCP neighbour",
    Standing.BAD_RETURN_PATH: "no return path of ours (SRS): refused",
}


_REFUSED = (
    Standing.DISABLED,
    Standing.UNKNOWN,
    Standing.UNANSWERED,
    Standing.LOOP,
    Standing.BAD_RETURN_PATH,
)


class NoAddress(ValueError):
    """What was typed is no address; the message is the reply a client would get."""


@dataclass(frozen=True, slots=True)
class End:
    """A final address: what it is to us, and who delivers it to where.

    `transport` is "" when nobody does; `route` is the row that says so, "" for none. `notify` and
    `original_recipient` are what it is queued with.
    """

    address: str
    standing: Standing
    transport: str
    nexthop: str
    route: str
    notify: str
    original_recipient: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """An address as it was understood, its expansion, and where that ends: nowhere when refused."""

    resolution: Resolution
    ends: tuple[End, ...]
    policy_version: int

    @property
    def verdict(self) -> str:
        """What the address is, in words."""
        if self.resolution.is_list and self.ends:
            return "a list"
        return _WORDS[self.resolution.standing]


def look_up(typed: str) -> Lookup:
    """Resolve an address as RCPT would; a name without a domain is one of this host.

    Raises NoAddress, and DatabaseError when the database is away.
    """
    recipient = _parsed(typed)
    book = runtime.directory()
    policy = book.refresh()
    resolution = book.resolve(recipient.address)
    expanded = recipients.expand([(recipient, resolution)])
    if _is_refused(resolution):
        return Lookup(resolution, (), policy.version)
    ends = tuple(_ends(expanded.recipients, resolution.accounts, book, policy))
    return Lookup(resolution, ends, policy.version)


def as_json(lookup: Lookup) -> dict[str, Any]:
    """For programs:

    `address`, `standing`, `verdict` (in words), `is_list`, `steps`, `policy_version`,
    `ends`: [{`address`, `standing`, `transport`, `nexthop`, `route`, `notify`,
    `original_recipient`}].
    """
    resolution = lookup.resolution
    return {
        "address": resolution.address,
        "standing": resolution.standing.value,
        "verdict": lookup.verdict,
        "is_list": resolution.is_list,
        "steps": list(resolution.steps),
        "policy_version": lookup.policy_version,
        "ends": [
            {
                "address": end.address,
                "standing": end.standing.value,
                "transport": end.transport,
                "nexthop": end.nexthop,
                "route": end.route,
                "notify": end.notify,
                "original_recipient": end.original_recipient,
            }
            for end in lookup.ends
        ],
    }


def _parsed(typed: str) -> Recipient:
    text = typed.strip().removeprefix("<").removesuffix(">")
    if not text:
        raise NoAddress("an address is expected")
    whole = text if "@" in text else f"{text}@{runtime.hostname()}"
    try:
        return arguments.parse_rcpt(
            f"TO:<{whole}>", runtime.hostname(), smtputf8=not whole.isascii()
        )
    except BadArgument as error:
        raise NoAddress(error.reply.text) from error


def _is_refused(resolution: Resolution) -> bool:
    return resolution.standing in _REFUSED


def _ends(
    final: tuple[Recipient, ...], accounts: Container[str], book: Directory, policy: Policy
) -> Iterator[End]:
    """`accounts` are those that are delivered to by instructions."""
    for recipient in final:
        transport, nexthop = runtime.route(recipient.address, "") or ("", "")
        route = routing.applied_route(recipient.address, policy) if nexthop else None
        yield End(
            address=recipient.address,
            standing=_standing(recipient.address, accounts, book),
            transport=transport,
            nexthop=nexthop,
            route=routing.route_text(route) if route else "",
            notify=recipient.notify,
            original_recipient=recipient.original_recipient,
        )


def _standing(address: str, accounts: Container[str], book: Directory) -> Standing:
    """What a final address is in itself."""
    if address in accounts:
        return Standing.ACCOUNT
    domain = addresses.split(address)[1]
    if domain == runtime.hostname() and book.nexthop(address).startswith("uucp:"):
        return Standing.UUCP
    kind = book.domain_kind(domain)
    if kind is None:
        return Standing.FOREIGN
    if kind is DomainKind.BACKUP:
        return Standing.BACKUP
    enabled = book.mailbox(address.lower())
    if enabled is None:
        return Standing.UNKNOWN
    return Standing.MAILBOX if enabled else Standing.DISABLED
