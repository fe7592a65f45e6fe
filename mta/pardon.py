"""Refused mail that an administrator takes after all: it enters at step 4 of the message's way.

It goes to those whom this refusal was about, once, however often somebody asks.
"""

from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from mta import maillog, runtime
from mta.models import Event, Refusal, RefusedContent
from mta.policy.decision import Stage
from mta.protocol.envelope import Envelope
from mta.protocol.queue_id import encode_queue_id
from mta.queue import refused_content


class CannotAccept(ValueError):
    """The sentence says why, for the administrator."""


def accept(refusal_id: int, actor: str) -> str:
    """Queue the refused message in the name of `actor`; gives its queue id.

    Raises Refusal.DoesNotExist, CannotAccept, DatabaseError.
    """
    with transaction.atomic():
        refusal = Refusal.objects.select_for_update().get(pk=refusal_id)
        if refusal.accepted_as is not None:
            return encode_queue_id(refusal.accepted_as)
        envelope, content = _kept(refusal)
        message_id = runtime.queue_message(envelope, content, f"pardon:{refusal.pk}")
        refusal.accepted_as = message_id
        refusal.accepted_by = actor
        refusal.accepted_at = timezone.now()
        refusal.save(update_fields=["accepted_as", "accepted_by", "accepted_at"])
        Event.objects.create(
            at=refusal.accepted_at,
            message_id=message_id,
            kind="pardoned",
            data={"actor": actor, "reason": f"{refusal.rule}: {refusal}", "refusal": refusal.pk},
        )
    maillog.controlled("pardoned", actor, len(envelope.recipients), f"refusal {refusal.pk}")
    runtime.nudge()
    return encode_queue_id(message_id)


def recipients(refusal: Refusal, envelope: Envelope) -> tuple[str, ...]:
    """Those who were refused: all of them, unless recipients were judged one by one."""
    addresses = [each.address for each in envelope.recipients]
    if refusal.stage == Stage.VERDICT:
        addresses = [each for each in addresses if each == refusal.recipient]
    return tuple(addresses)


def _kept(refusal: Refusal) -> tuple[Envelope, bytes]:
    """What would be queued. Raises CannotAccept."""
    if not refusal.enforced:
        raise CannotAccept("that was only logged: the mail went on")
    row = RefusedContent.objects.filter(pk=refusal.content_id or 0).first()
    if row is None:
        raise CannotAccept("the content is not kept, or not any more")
    envelope = refused_content.envelope_of(row)
    refused = recipients(refusal, envelope)
    if not refused:
        raise CannotAccept("there is nobody to give it to")
    wanted = tuple(each for each in envelope.recipients if each.address in refused)
    return replace(envelope, recipients=wanted), bytes(row.content)
