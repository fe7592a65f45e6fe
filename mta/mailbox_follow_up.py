"""What belongs to a delivery by rules besides its files: answers, notices, hits, the owner told.

Called before the recipient is recorded as delivered, so a crash in between brings it here again:
answers are taken in one transaction with their mail, and all else has an origin or a key.
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from mta import forward_confirmation
from mta.filters.automatic import letter, message_id
from mta.models import Mailbox, Message
from mta.protocol import address as addresses
from mta.protocol.envelope import Envelope, Recipient, Source
from mta.protocol.mailbox_plan import FollowUp
from mta.queue import mailbox_memory
from mta.queue.commit import storable
from mta.queue.lease import LeasedRecipient

log = logging.getLogger(__name__)

Enqueue = Callable[[Envelope, bytes, str], object]

_TROUBLE = "mailbox-trouble"


def carry_out(
    recipient: LeasedRecipient, follow_up: FollowUp, hostname: str, enqueue: Enqueue
) -> None:
    """Raises OperationalError when the database is away; repeating it does no harm.

    What the database does not take is told in the log: the mail itself is delivered.
    """
    local, domain = addresses.split(follow_up.mailbox)
    mailbox = Mailbox.objects.filter(domain__name=domain, local_part=local).first()
    if mailbox is None:
        return
    try:
        with transaction.atomic():
            _Work(mailbox, recipient, hostname, enqueue, timezone.now()).do(follow_up)
    except (DataError, IntegrityError):
        log.exception("not all is done that belongs to the delivery to %s", follow_up.mailbox)


class _Work:
    def __init__(
        self,
        mailbox: Mailbox,
        recipient: LeasedRecipient,
        hostname: str,
        enqueue: Enqueue,
        now: datetime,
    ) -> None:
        self._mailbox = mailbox
        self._recipient = recipient
        self._hostname = hostname
        self._enqueue = enqueue
        self._now = now

    def do(self, follow_up: FollowUp) -> None:
        recipient = self._recipient
        if follow_up.hits:
            who = (recipient.id, recipient.address)
            mailbox_memory.record_hits(
                self._mailbox, follow_up.hits, recipient.message_id, who, self._now
            )
        if follow_up.seen:
            mailbox_memory.remember_seen(self._mailbox, follow_up.seen, recipient.id, self._now)
        for answer in follow_up.answers:
            if mailbox_memory.take_answer(self._mailbox, answer, self._now):
                origin = f"vacation {recipient.id} {answer.handle}"
                self._send(answer.sender, answer.content, origin)
        for notice in follow_up.notices:
            self._send(notice.address, notice.content, f"notify {recipient.id} {notice.line}")
        for address in follow_up.unconfirmed:
            self._ask(address)
        for subject, sentence in follow_up.troubles:
            self._tell_owner(subject, sentence)

    def _send(self, address: str, content: bytes, origin: str) -> None:
        """From the null sender, and nobody is told when it fails: RFC 5230 5.1, RFC 5436 2.7."""
        to = Recipient(address, notify="NEVER")
        smtputf8 = not address.isascii()
        self._enqueue(Envelope("", (to,), Source.LOCAL, smtputf8=smtputf8), content, origin)

    def _ask(self, address: str) -> None:
        """An address that no one has asked yet is asked now; again only when the owner wants it."""
        if forward_confirmation.is_known(self._mailbox, address):
            return
        with contextlib.suppress(forward_confirmation.CannotAsk):
            forward_confirmation.ask(
                self._mailbox, address, hostname=self._hostname, enqueue=self._enqueue
            )

    def _tell_owner(self, subject: str, sentence: str) -> None:
        """Once a day about one thing; never because of such a mail."""
        cause = Message.objects.filter(pk=self._recipient.message_id)
        if cause.filter(origin__startswith=_TROUBLE).exists():
            return
        key = mailbox_memory.digest(subject)[:16]
        origin = f"{_TROUBLE} {self._mailbox.pk} {key} {self._now:%Y-%m-%d}"
        owner = self._mailbox.address
        fields = {
            "From": f"postmaster@{self._hostname}",
            "To": addresses.wire(owner),
            "Subject": "A filter rule of your mailbox does not work",
            "Message-ID": message_id(self._hostname, origin),
            "Auto-Submitted": "auto-generated",
        }
        text = (
            f"A message for {owner} has been kept in your inbox, because\n\n"
            f"    {storable(sentence)}\n\n"
            "No mail is lost by this. You are told about it once a day at most."
        )
        self._send(owner, letter(fields, self._now.timestamp(), text), origin)
