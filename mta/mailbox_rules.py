"""The rules of mailboxes at delivery: active scripts, compiled once, asked for a plan.

`Shelf` knows which mailboxes have a script as of the policy version in force, so that one without
costs a look into a dictionary.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.utils import timezone

from mta import forward_confirmation
from mta.filters import mailbox as planning
from mta.filters.rule_names import RuleNames
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Message as SieveMessage
from mta.filters.sieve.evaluate import Surroundings, evaluate
from mta.filters.sieve.program import Program
from mta.filters.sieve.syntax import SieveError
from mta.models import Mailbox, MailboxScript, Message
from mta.policy.facts import DomainKind, Policy
from mta.protocol import address as addresses
from mta.protocol.envelope import Source
from mta.protocol.mailbox_plan import FollowUp, Incoming, MailboxPlan, MailboxRules
from mta.queue import mailbox_memory

log = logging.getLogger(__name__)

# A session asks the script at the end of DATA; these ways in have none with the sender.
_UNJUDGED = frozenset({Source.LOCAL, Source.UUCP, Source.FORWARD})
_OURS = frozenset({DomainKind.HOSTED, DomainKind.LOCAL})


class Directory(Protocol):
    @property
    def policy(self) -> Policy: ...


class Shelf:
    """The scripts in force in one process; safe to use from several threads."""

    def __init__(self, directory: Directory, hostname: str) -> None:
        self._directory = directory
        self._hostname = hostname
        self._lock = threading.Lock()
        self._version = 0
        self._scripts: dict[str, tuple[int, datetime]] = {}
        self._compiled: dict[tuple[int, datetime], _Compiled] = {}

    def rules(self, address: str) -> MailboxRules | None:
        """Those of a mailbox by the policy last refreshed. Raises OperationalError."""
        policy = self._directory.policy
        if policy.version != self._version:
            self._look(policy.version)
        name = address.lower()
        found = self._scripts.get(name)
        if found is None:
            return None
        return _Rules(name, self._program(found), policy, self._hostname)

    def _look(self, version: int) -> None:
        with self._lock:
            if version == self._version:
                return
            active = MailboxScript.objects.filter(active=True, moment=MailboxScript.Moment.MESSAGE)
            rows = active.values_list(
                "mailbox__local_part", "mailbox__domain__name", "pk", "changed_at"
            )
            self._scripts = {
                f"{local}@{domain}": (number, changed_at)
                for local, domain, number, changed_at in rows
            }
            current = set(self._scripts.values())
            self._compiled = {
                key: program for key, program in self._compiled.items() if key in current
            }
            self._version = version

    def _program(self, key: tuple[int, datetime]) -> "_Compiled":
        compiled = self._compiled.get(key)
        if compiled is None:
            script = MailboxScript.objects.filter(pk=key[0]).first()
            compiled = self._compiled[key] = _compile(script)
        return compiled


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A script made ready; `error` says why there is no program."""

    mailbox_id: int
    program: Program | None
    error: str
    names: RuleNames


def _compile(script: MailboxScript | None) -> _Compiled:
    if script is None:
        # Deleted since the version in force; the next one does without.
        return _Compiled(0, None, "", RuleNames(""))
    try:
        program = compile_script(script.text)
    except SieveError as error:
        return _Compiled(script.mailbox_id, None, str(error), RuleNames(""))
    return _Compiled(script.mailbox_id, program, "", RuleNames(script.text))


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules of one mailbox, for one delivery."""

    mailbox: str
    compiled: _Compiled
    policy: Policy
    hostname: str

    def plan(self, incoming: Incoming) -> MailboxPlan:
        if self.compiled.program is None:
            return self._as_it_is(self.compiled.error)
        message = Message.objects.filter(pk=incoming.message_id).first()
        now = timezone.now()
        standing = planning.Standing(
            mailbox=self.mailbox,
            hostname=self.hostname,
            at=now.timestamp(),
            names=self.compiled.names,
            may_forward=self._may_forward,
            was_judged=message is None or message.source not in _UNJUDGED,
        )
        surroundings = self._surroundings(incoming, message, now)
        sieve_message = SieveMessage(incoming.content, incoming.reverse_path, _known_as(incoming))
        result = evaluate(self.compiled.program, sieve_message, surroundings)
        try:
            return planning.plan(result, incoming, standing)
        except (ValueError, LookupError, TypeError, AttributeError):
            # Such as a header field of an answer that the library cannot write.
            log.exception("what the script of %s asks for cannot be done", self.mailbox)
            return self._as_it_is("what it asks for cannot be done")

    def _as_it_is(self, error: str) -> MailboxPlan:
        sentence = f"your filter script cannot be run: {error}"
        troubles = (("script", sentence),) if error else ()
        return MailboxPlan(follow_up=FollowUp(self.mailbox, troubles=troubles))

    def _surroundings(
        self, incoming: Incoming, message: Message | None, now: datetime
    ) -> Surroundings:
        mailbox_id = self.compiled.mailbox_id
        return Surroundings(
            at=now.timestamp(),
            items=_items(message, self.hostname),
            has_seen=lambda key: mailbox_memory.has_seen(
                mailbox_id, key, incoming.recipient_id, now
            ),
            has_mailbox=incoming.has_folder,
            script=lambda where, name: _included(mailbox_id, where, name),
        )

    def _may_forward(self, address: str) -> bool:
        """To our own people always; elsewhere when it was confirmed there."""
        if self.policy.domain_kind(addresses.split(address)[1]) in _OURS:
            return True
        mailbox = Mailbox.objects.filter(pk=self.compiled.mailbox_id).first()
        return mailbox is not None and forward_confirmation.is_confirmed(mailbox, address)


def _items(message: Message | None, hostname: str) -> dict[str, str]:
    """RFC 5183 section 4.1."""
    items = {"name": "CourierWeb", "host": hostname, "location": "MDA", "phase": "post"}
    if message is not None and message.client_ip:
        items |= {"remote-ip": str(message.client_ip), "remote-host": message.helo}
    return items


def _known_as(incoming: Incoming) -> str:
    """The recipient as the sender wrote it, with its detail ("ann+lists"), where that is known."""
    kind, _, original = incoming.original_recipient.partition(";")
    mine, known = addresses.split(incoming.recipient.lower()), addresses.split(original.lower())
    is_same = kind.lower() == "rfc822" and known[1] == mine[1] and known[0].startswith(mine[0])
    return original if is_same else incoming.recipient


def _included(mailbox_id: int, where: str, name: str) -> Program | None:
    """RFC 6609: other scripts of the same mailbox; there are none for all."""
    if where != "personal":
        return None
    scripts: Any = MailboxScript.objects.filter(mailbox_id=mailbox_id, name=name)
    script = scripts.filter(moment=MailboxScript.Moment.MESSAGE).first()
    return compile_script(script.text) if script else None
