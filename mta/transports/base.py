"""Step 6, the contract between the scheduler and a transport.

A transport gets one frozen `DeliveryRequest` and yields one `Outcome` per recipient as each
becomes known. What it does not report is deferred 4.3.0 by the scheduler; an exception defers
what is left. Silence is never success.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from mta.protocol.auth_client import Credentials
from mta.protocol.mailbox_plan import FollowUp, MailboxRules
from mta.protocol.program import Program
from mta.protocol.reply import Reply
from mta.protocol.tls_result import NO_POLICY, StsFinding, TlsResult
from mta.protocol.uux import UuxTerms
from mta.protocol.webhook import Webhook


class Result(StrEnum):
    """The only three ways to report on a recipient."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"


class Done(StrEnum):
    """What a recipient has become that was sent: at its end, at another host that goes on with
    it, or nowhere."""

    DELIVERED = "delivered"
    RELAYED = "relayed"
    DISCARDED = "discarded"


class Pool(StrEnum):
    """Which worker runs a transport: the few processes of LOCAL, for what never waits and finds
    its own work again when it is repeated, or the many threads of REMOTE, for all others."""

    LOCAL = "local"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class QueuedRecipient:
    """A recipient row as a transport sees it. `attempt` counts from 1 and includes this one.

    `return_path` is what another host is told instead of the message's reverse-path, "" for that.
    """

    id: int
    address: str
    original_recipient: str = ""
    notify: str = ""
    attempt: int = 1
    return_path: str = ""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message with those of its recipients that this request is for.

    `created_at` is in seconds since the epoch; `size` is that of the content in octets.
    """

    id: int
    queue_id: str
    reverse_path: str
    size: int
    created_at: float
    recipients: tuple[QueuedRecipient, ...]
    ret: str = ""
    envid: str = ""
    smtputf8: bool = False
    eight_bit: bool = False
    verp: bool = False
    requiretls: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """What one task delivers: messages that share a transport and a next hop.

    `nexthop` is the transport's own word: "" for local, a `policy.routing` nexthop for esmtp.
    """

    transport: str
    nexthop: str
    messages: tuple[QueuedMessage, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one recipient.

    `reply` is the peer's reply or one made here, with an enhanced status. `remote` names the
    peer for the timeline and the DSN ("mx.example.org [192.0.2.1]"), "" for a local delivery.
    `unreachable` says that no session with the next hop came about: nothing was tried for this
    recipient, and the same holds for others of that next hop.
    `final` is false when the message was handed to a peer that will not send DSNs, so that we
    report it as "relayed" (RFC 3461 5.2.2). `command` is what the peer answered, for the DSN.
    `forwards` are addresses that get the message in the recipient's place: the scheduler queues it
    for them before it records a recipient as sent. They get `content` when that is not None, which
    a rule has edited, and else the message as it is. `follow_up` is what else is carried out before
    that.
    """

    recipient_id: int
    result: Result
    reply: Reply
    remote: str = ""
    tls: str = ""
    command: str = ""
    final: bool = True
    unreachable: bool = False
    forwards: tuple[str, ...] = ()
    content: bytes | None = None
    follow_up: FollowUp | None = None


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """How mail for system accounts is delivered (`mta.transports.account`).

    `stem` is the word in the name of instruction files, `default_delivery` the instructions of
    who has none. All commands of one delivery have `timeout` seconds together; `dynamic` says
    whether they may print further instructions. `alias_user` runs what aliases say.
    """

    stem: str = "courier"
    default_delivery: str = "./Maildir"
    timeout: float = 900.0
    dynamic: bool = True
    alias_user: str = "nobody"


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What a transport may use of the appliance. Times are in seconds.

    `content(message_id)` gives the stored message with CRLF line ends; the last few are cached.
    `committing(recipient_ids)` must be called right before the step after which the peer may
    have the message (the final dot), so that a crash beyond it shows as *uncertain*.
    `stopping()` turns true when the worker is asked to end: finish the transaction at hand.
    `more()` gives further messages for the next hop at hand, which then belong to this request
    too: a session that is open may go on with them. It gives none when there are none.
    `quota(address)` and `sizelimit(address)` are those of a mailbox here, octets, 0 for none.
    `dane` says that the name servers' word on DNSSEC counts, and so TLSA records do. `sts(domain)`
    finds the MTA-STS policy of a domain. `tls_seen` is told what became of TLS with a host.
    `credentials(route_id)` are those of a route that signs in, None when they cannot be had.
    `alias_instructions(name)` are the members of an alias that are programs and files.
    `uux` is how we use UUCP.
    `program(name)` and `webhook(name)` are what an administrator says of them, None for nothing.
    `rules(address)` are those of a mailbox, None for one that has none.
    """

    hostname: str
    mail_root: Path
    content: Callable[[int], bytes]
    committing: Callable[[Iterable[int]], None] = lambda recipient_ids: None
    stopping: Callable[[], bool] = lambda: False
    more: Callable[[], Sequence[QueuedMessage]] = lambda: ()
    dns: str = ""
    timeouts: dict[str, float] = field(default_factory=dict)
    quota: Callable[[str], int] = lambda address: 0
    sizelimit: Callable[[str], int] = lambda address: 0
    dane: bool = False
    sts: Callable[[str], StsFinding] = lambda domain: NO_POLICY
    tls_seen: Callable[[TlsResult], None] = lambda result: None
    credentials: Callable[[int], Credentials | None] = lambda route_id: None
    accounts: AccountSettings = AccountSettings()
    alias_instructions: Callable[[str], Sequence[str]] = lambda name: ()
    uux: UuxTerms = UuxTerms()
    program: Callable[[str], Program | None] = lambda name: None
    webhook: Callable[[str], Webhook | None] = lambda name: None
    rules: Callable[[str], MailboxRules | None] = lambda address: None


class AddressBook(Protocol):
    """The questions `claim` may ask; `mta.directory` answers them.

    `account` is who delivers the address by instructions: the name of a system's user, or
    "alias:NAME@DOMAIN" for the programs and files of an alias; None for nobody.
    """

    def is_mailbox(self, address: str) -> bool: ...

    def account(self, address: str) -> str | None: ...

    def nexthop(self, address: str) -> str: ...


class Transport(Protocol):
    """A delivery method: one file, one class, found by name in the registry.

    `priority` orders the transports when an address is claimed, lower first. `limit` is how many
    requests one next hop may have under way at once, 0 for as many as the setting maxhost says;
    nothing is counted for a transport of the LOCAL pool. `batch` is how many recipients one
    request holds. Who says nothing of `pool` and `done` runs in REMOTE and relays.
    """

    name: str
    priority: int
    limit: int
    batch: int
    pool: Pool
    done: Done

    def claim(self, address: str, book: AddressBook) -> str | None:
        """The next hop when this transport takes the address, else None."""

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]: ...
