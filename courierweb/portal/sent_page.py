"""The owner's sent mail: where each message is, and cancelling what is still queued."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from courierweb.portal.frame import render_page
from courierweb.portal.session import page
from mta.models import Mailbox, Message, Recipient
from mta.models.message import State
from mta.protocol.queue_id import decode_queue_id
from mta.queue import control
from mta.queue.control import Selection

PAGE_SIZE = 25
_RECIPIENTS_SHOWN = 50

_WORDS = {
    State.QUEUED: ("busy", "Waiting"),
    State.DELIVERING: ("busy", "On its way"),
    State.HELD: ("warn", "Held back by the administrator"),
    State.DELIVERED: ("good", "Delivered"),
    State.RELAYED: ("good", "Handed to the other server"),
    State.EXPANDED: ("good", "Passed on to the members"),
    State.DISCARDED: ("calm", "Thrown away by a rule"),
    State.FAILED: ("bad", "Failed"),
    State.EXPIRED: ("bad", "Given up after too many tries"),
    State.CANCELLED: ("calm", "Cancelled"),
}
# The first digit or the whole of a reply's enhanced status (RFC 3463), in words for its sender.
_REASONS = (
    ("5.1.1", "There is no such address."),
    ("5.1.2", "There is no such domain."),
    ("5.1.10", "The domain takes no mail."),
    ("4.2.2", "The mailbox is full."),
    ("5.2.2", "The mailbox is full."),
    ("5.2.1", "The mailbox is switched off."),
    ("5.3.4", "The message is too large for the other side."),
    ("5.7.", "The other side does not want this message."),
    ("4.7.", "The other side asks us to wait."),
    ("4.4.1", "The other server does not answer."),
    ("4.4.", "The other server cannot be reached."),
    ("4.", "The other side cannot take it now."),
    ("5.", "The other side has refused it."),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One recipient in words. `next_try` for what is still tried."""

    address: str
    tone: str
    words: str
    reason: str
    reply: str
    next_try: datetime | None


@page
@require_safe
def sent(request: HttpRequest) -> HttpResponse:
    pages = Paginator(messages_of(request.mailbox), PAGE_SIZE)
    shown = pages.get_page(request.GET.get("page"))
    rows = [
        {
            "message": message,
            "recipients": [in_words(each) for each in message.shown[:_RECIPIENTS_SHOWN]],
            "more": max(len(message.shown) - _RECIPIENTS_SHOWN, 0),
            "live": any(each.state in (State.QUEUED, State.HELD) for each in message.shown),
        }
        for message in shown
    ]
    return render_page(request, "sent.html", "Sent mail", area="sent", rows=rows, shown=shown)


@page
@require_POST
def cancel(request: HttpRequest, queue_id: str) -> HttpResponse:
    try:
        message_id = decode_queue_id(queue_id)
    except ValueError:
        raise Http404("no such message") from None
    if not messages_of(request.mailbox).filter(pk=message_id).exists():
        raise Http404("no such message")
    selection = Selection(message_ids=(message_id,))
    changed = control.cancel(selection, request.mailbox.address, "cancelled by its sender")
    if changed:
        recipients = "1 recipient" if changed == 1 else f"{changed} recipients"
        messages.success(request, f"Cancelled for {recipients}.")
    else:
        messages.error(request, "It is too late: nothing of it is waiting any more.")
    return HttpResponseRedirect(reverse("portal:sent"))


def messages_of(mailbox: Mailbox) -> QuerySet[Message]:
    """Newest first; `shown` of each are its recipients.

    A reverse path alone proves no sender: only what was submitted here counts by it.
    """
    mine = Q(auth_user=mailbox.address) | Q(reverse_path=mailbox.address, source="local")
    recipients = Recipient.objects.order_by("id")
    return (
        Message.objects.filter(mine)
        .order_by("-created_at")
        .prefetch_related(Prefetch("recipient_set", recipients, to_attr="shown"))
    )


def in_words(recipient: Recipient) -> Row:
    state = State(recipient.state)
    tone, words = _WORDS[state]
    if state is State.QUEUED and recipient.attempts:
        tone, words = "warn", "Still trying"
    waiting = state is State.QUEUED and recipient.attempts > 0
    told = waiting or state in (State.FAILED, State.EXPIRED)
    return Row(
        recipient.original_recipient or recipient.address,
        tone,
        words,
        _reason(recipient.last_reply) if told else "",
        recipient.last_reply if told else "",
        recipient.next_attempt if waiting else None,
    )


def _reason(reply: str) -> str:
    words = reply.split()
    status = words[1] if len(words) > 1 and words[1][:2] in ("4.", "5.") else ""
    status = status or (f"{reply[0]}." if reply[:1] in ("4", "5") else "")
    return next((text for prefix, text in _REASONS if status and status.startswith(prefix)), "")
