"""The composition root: puts directory, policy, queue, scheduler and transports together.

Everything here is one per process and made on first use, after a worker has forked.
"""

import atexit
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from mta import (
    dnssec,
    forwarding,
    handed_in,
    intake,
    mailbox_follow_up,
    mailbox_judge,
    maillog,
    sts,
)
from mta.answers import ANSWERERS
from mta.directory import Directory, version_from_loop
from mta.filter_context import Appliance
from mta.filters import registry as site_filters
from mta.filters.base import FilterContext
from mta.ingress.committer import Committer
from mta.ingress.connections import Connections
from mta.ingress.gate import PolicyGate
from mta.ingress.house import House, Listener
from mta.ingress.inquiry import Inquiry
from mta.ingress.process import Door, tls_context
from mta.ingress.wire import Budget
from mta.mailbox_rules import Shelf
from mta.maildir_sweep import sweep_temporary, sweep_trash
from mta.models.appliance_key import appliance_key
from mta.nudge import REPORT, Nudger
from mta.policy import routing
from mta.policy.facts import Standing
from mta.protocol import trace
from mta.protocol.dsn_text import Wording
from mta.protocol.envelope import Envelope, Source
from mta.protocol.mailbox_plan import FollowUp
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.tls_result import NO_POLICY
from mta.queue import commit, destinations, heartbeat, ids, lease, releases, retention, upkeep
from mta.queue.lease import LeasedRecipient
from mta.queue.loan import Loans
from mta.queue.loop_connection import LoopConnection
from mta.scheduler import reports, runner
from mta.scheduler.contents import Room
from mta.scheduler.crew import Crew
from mta.scheduler.workshop import Workshop
from mta.storage import Storage
from mta.transports import dsn, registry
from mta.transports.base import AccountSettings, DeliveryContext, Pool, Transport
from mta.transports.esmtp import Esmtp

log = logging.getLogger(__name__)

# Octets of message content that one ingress process holds at most.
CONTENT_BUDGET = 512 * 1024 * 1024

# Octets of large contents that the sessions of one process with other hosts hold at once.
OUTBOUND_CONTENT = 256 * 1024 * 1024

# Database connections that the sessions of one process with other hosts share.
OUTBOUND_CONNECTIONS = 16

_nudger = Nudger()
_stopping = False


def hostname() -> str:
    """Our own name: banner, EHLO, Received, DSNs."""
    return str(settings.ENVIRONMENT.hostname)


def mail_root() -> Path:
    return Path(settings.ENVIRONMENT.mail_root)


@lru_cache(maxsize=1)
def directory() -> Directory:
    return Directory(hostname(), appliance_key(b"scram"))


@lru_cache(maxsize=1)
def id_maker() -> ids.IdMaker:
    return ids.make_id_maker()


@lru_cache(maxsize=1)
def transports() -> tuple[Transport, ...]:
    """Every transport, in the order in which they are asked to claim an address."""
    return tuple(registry.by_priority())


def route(address: str, reverse_path: str) -> tuple[str, str] | None:
    """(transport, next hop) of an address by the policy last refreshed."""
    try:
        return routing.choose(address, transports(), directory().book(reverse_path))
    except routing.CannotTell:
        # The runner asks again before it delivers.
        return None


def route_by_domain(address: str, reverse_path: str) -> tuple[str, str] | None:
    """`route` without a question to the database, for the event loop of the ingress."""
    return routing.choose(address, transports(), _Domains(reverse_path))


class _Domains:
    """An address book that takes each address of a hosted domain for a mailbox, unless it has just
    been found to be an account.

    Whether it is one was asked at RCPT, and is asked again by the runner before it delivers.
    """

    def __init__(self, reverse_path: str) -> None:
        self._reverse_path = reverse_path

    def is_mailbox(self, address: str) -> bool:
        return self.nexthop(address) == "" and directory().known_account(address) is None

    def account(self, address: str) -> str | None:
        return directory().known_account(address) if self.nexthop(address) == "" else None

    def nexthop(self, address: str) -> str:
        return directory().nexthop(address, self._reverse_path)


def enqueue(
    envelope: Envelope, content: bytes, origin: str | None = None, uid: int | None = None
) -> str:
    """Queue a message made on this host and call for its delivery; gives its queue id.

    `content` has CRLF line ends and no Received header yet. With an `origin` that was queued
    before, that message's queue id is given and nothing is queued. `uid` is that of the user who
    hands it in. Raises DatabaseError, and SubmissionError when a site filter refuses it.
    """
    message_id = queue_message(envelope, content, origin, uid=uid)
    nudge()
    return encode_queue_id(message_id)


def forward(recipient: LeasedRecipient, addresses: Sequence[str], content: bytes) -> None:
    """Queue what a recipient's instructions send on, once. Raises DatabaseError."""
    message_id = queue_message(
        forwarding.envelope(recipient, addresses),
        forwarding.content(recipient, content),
        forwarding.origin(recipient),
        forwarding.comment(recipient),
    )
    maillog.forwarded(
        queue_id=encode_queue_id(recipient.message_id),
        recipient=recipient.address,
        addresses=len(addresses),
        forward_queue_id=encode_queue_id(message_id),
    )
    nudge()


def follow_up(recipient: LeasedRecipient, todo: FollowUp) -> None:
    """Carry out what belongs to a delivery by rules. Raises DatabaseError."""
    mailbox_follow_up.carry_out(recipient, todo, hostname(), queue_message)
    if todo.answers or todo.notices or todo.troubles:
        nudge()


def queue_message(
    envelope: Envelope,
    content: bytes,
    origin: str | None = None,
    comment: str = "",
    uid: int | None = None,
) -> int:
    """`enqueue` without the nudge, to be part of a caller's transaction; gives the message id.
    `comment` is for the Received field."""
    book = directory()
    policy = book.refresh()
    for recipient in envelope.recipients:
        if book.resolve(recipient.address).standing is Standing.UNANSWERED:
            # Whoever leaves mail here knows what to do when the database is away.
            raise OperationalError(f"{recipient.address} cannot be looked up now")
    arrival = intake.Arrival(id_maker().next(), timezone.now(), origin)
    resolved = [(each, book.resolve(each.address)) for each in envelope.recipients]
    message = _received(envelope, arrival, comment) + content
    filtered = handed_in.judge(envelope, resolved, message, arrival, policy, uid)
    session = {"source": envelope.source.value, "auth_user": envelope.auth_user}
    submission = intake.prepare(
        arrival,
        envelope,
        filtered.resolved,
        filtered.content,
        policy,
        route,
        {"session": session, **filtered.told},
        filtered.dispositions,
    )
    submission = replace(submission, recipients=(*submission.recipients, *filtered.failed))
    if origin is None:
        commit.commit([submission])
    else:
        try:
            commit.enqueue(submission)
        except commit.AlreadyQueued as known:
            return known.message_id
    maillog.accepted(
        queue_id=encode_queue_id(submission.id),
        client_ip="",
        helo=envelope.source.value,
        reverse_path=envelope.reverse_path,
        recipients=len(submission.recipients),
        size=len(submission.content),
    )
    return submission.id


def nudge(names: Iterable[str] | None = None) -> None:
    """Call runners for these transports, or for all. Never blocks, never raises."""
    for name in (transport.name for transport in transports()) if names is None else names:
        _nudger(name)


@atexit.register
def _send_last_nudges() -> None:
    _nudger.drain(1.0)


def stop() -> None:
    """This worker is asked to end: runners finish the batch at hand."""
    global _stopping  # noqa: PLW0603
    _stopping = True


@lru_cache(maxsize=1)
def storage() -> Storage:
    """The file systems of the home and of the mail."""
    return Storage((Path(settings.ENVIRONMENT.home), mail_root()))


def shortage() -> str:
    """Why no mail is taken or delivered now: too little disk space; "" when there is enough."""
    return storage().shortage(directory().settings.minfree)


def deliver(name: str) -> int:
    """Run a transport until nothing is due; gives the number of recipients worked on.

    With too little room on the disk everything waits: a tick looks again.
    """
    transport = registry.get(name)
    with workshop().lent(transport):
        # Later versions come with the claims; who has just changed `minfree` means the first, too.
        directory().refresh()
    if short := shortage():
        log.warning("delivery waits: %s", short)
        return 0
    return runner.run(transport, workshop())


def has_destinations(name: str) -> bool:
    """Whether a transport is one that hands mail to destinations, not to mailboxes here."""
    return name in registry.transports and registry.pool_of(name) is Pool.REMOTE


def start_delivery(name: str) -> None:
    """`deliver` in this worker's own way: with other hosts in threads of the crew."""
    if registry.pool_of(name) is Pool.REMOTE:
        crew()(name)
    else:
        deliver(name)


@lru_cache(maxsize=1)
def crew() -> Crew:
    return Crew(settings.ENVIRONMENT.outbound_sessions, deliver, _nudger)


@lru_cache(maxsize=1)
def loans() -> Loans:
    return Loans(OUTBOUND_CONNECTIONS)


def send_reports() -> int:
    """Send every DSN that is due; gives how many."""
    directory().refresh()
    times = directory().settings
    wording = Wording(directory().report_texts)
    style = reports.Style(hostname(), times.dsnlimit, wording, times.dsn_postmaster)
    sent = reports.send_due(style, dsn.compose, queue_message)
    if sent:
        nudge()
    return sent


def tick() -> None:
    """What beat does every few seconds. It also proves that beat is alive."""
    heartbeat.beat("beat", pid=0)
    for recipient_id in lease.reap():
        maillog.lease_expired(recipient_id=recipient_id)
    releases.release_due()
    nudge([*(transport.name for transport in transports()), REPORT])


def sweep() -> None:
    """Roll up counts and delete what is older than its retention."""
    directory().refresh()
    times = directory().settings
    retention.roll_up()
    retention.sweep(times)
    sts.forget(timezone.now() - times.keep_tls)
    if _hourly.is_due():
        age = times.keep_temporary.total_seconds()
        sweep_temporary(mail_root(), age, time.monotonic() + 30)
        if times.keep_trash:
            sweep_trash(mail_root(), times.keep_trash.total_seconds(), time.monotonic() + 30)
        destinations.forget(timezone.now() - times.keep_destinations)
        if upkeep.is_bloated():
            log.info("built anew: %s", ", ".join(upkeep.tidy()) or "nothing")


class _Hourly:
    """Due once an hour in this process; the first time a while after its start."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 300

    def is_due(self) -> bool:
        due = time.monotonic() >= self._next
        if due:
            self._next = time.monotonic() + 3600
        return due


_hourly = _Hourly()


@lru_cache(maxsize=1)
def workshop() -> Workshop:
    """What this process's runners work with."""
    return Workshop(
        transports=transports(),
        directory=directory(),
        context=delivery_context,
        nudge=_nudger,
        reports_due=lambda: _nudger(REPORT),
        stopping=lambda: _stopping,
        another=lambda name: crew()(name),
        slots=settings.ENVIRONMENT.outbound_sessions,
        database=lambda: loans().lent(),
        room=Room(OUTBOUND_CONTENT, lambda: _stopping),
        owner=f"{socket.gethostname()}/{os.getpid()}",
        forward=forward,
        follow_up=follow_up,
    )


def ingress_doors() -> list[Door]:
    """The three listeners on the ports of the environment."""
    environment = settings.ENVIRONMENT
    return [
        Door(Listener("smtp"), environment.smtp_port),
        Door(Listener("submission", auth_required=True), environment.submission_port),
        Door(Listener("smtps", auth_required=True, implicit_tls=True), environment.smtps_port),
    ]


def sieve_port() -> int:
    """Where mail programs edit their users' scripts."""
    return int(settings.ENVIRONMENT.sieve_port)


def ingress_house() -> House:
    """What the sessions of an ingress process share; the policy is loaded."""
    directory().refresh()
    # The first message shall not wait for this.
    transports()
    return House(
        hostname=hostname(),
        gate=PolicyGate(directory(), partial(version_from_loop, LoopConnection())),
        committer=Committer(nudge, LoopConnection()),
        router=route_by_domain,
        ids=id_maker(),
        budget=Budget(CONTENT_BUDGET),
        connections=Connections(),
        inquiry=Inquiry(ANSWERERS),
        mailbox_judge=mailbox_judge.judge_of,
        has_room=lambda: not shortage(),
        tls=_tls(),
    )


def _tls() -> ssl.SSLContext | None:
    folder = Path(settings.ENVIRONMENT.home, "tls")
    try:
        return tls_context(str(folder / "cert.pem"), str(folder / "key.pem"))
    except (OSError, ssl.SSLError) as error:
        log.warning("no TLS: the certificate in %s cannot be used: %s", folder, error)
        return None


def delivery_context(
    contents: Callable[[int], bytes], committing: Callable[[Iterable[int]], None]
) -> DeliveryContext:
    """What a transport may use, by the policy last refreshed."""
    times = directory().settings
    return DeliveryContext(
        hostname=hostname(),
        mail_root=mail_root(),
        content=contents,
        committing=committing,
        stopping=lambda: _stopping,
        dns=settings.ENVIRONMENT.dns,
        timeouts={
            "connect": times.esmtptimeoutconnect.total_seconds(),
            "helo": times.esmtptimeouthelo.total_seconds(),
            "command": times.esmtptimeout.total_seconds(),
            "data": times.esmtptimeoutdata.total_seconds(),
            "quit": times.esmtptimeoutquit.total_seconds(),
        },
        quota=directory().quota,
        sizelimit=directory().sizelimit,
        dane=dnssec.is_believed(times.dnssec, settings.ENVIRONMENT.dns),
        sts=_sts_policies().find if times.mtasts else lambda domain: NO_POLICY,
        credentials=directory().credentials,
        accounts=AccountSettings(
            stem=times.dotextension,
            default_delivery=times.defaultdelivery,
            timeout=times.commandtimeout.total_seconds(),
            dynamic=times.dynamicdeliveries,
            alias_user=times.aliasuser,
        ),
        alias_instructions=directory().alias_instructions,
        uux=directory().uux,
        program=directory().program,
        webhook=directory().webhook,
        rules=shelf().rules,
    )


@lru_cache(maxsize=1)
def filter_context() -> FilterContext:
    """What site filters may use of this process."""
    return Appliance(
        route,
        lambda: delivery_context(lambda message_id: b"", lambda recipient_ids: None),
        Esmtp(),
    ).context


# Kinds are made with it when they are first asked for.
site_filters.kinds.context = filter_context()


@lru_cache(maxsize=1)
def shelf() -> Shelf:
    """The scripts of mailboxes, compiled."""
    return Shelf(directory(), hostname())


@lru_cache(maxsize=1)
def _sts_policies() -> sts.StsPolicies:
    return sts.StsPolicies(settings.ENVIRONMENT.dns)


def _received(envelope: Envelope, arrival: intake.Arrival, comment: str) -> bytes:
    words = {Source.DSN: "internal", Source.FORWARD: "internal", Source.UUCP: "UUCP"}
    return trace.received(
        helo=envelope.helo if envelope.source is Source.UUCP else "",
        client_ip="",
        hostname=hostname(),
        protocol=words.get(envelope.source, "local"),
        queue_id=encode_queue_id(arrival.id),
        at=arrival.at,
        auth_user=envelope.auth_user,
        comment=comment,
    )
