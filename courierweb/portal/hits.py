"""How often each rule did something with mail within 30 days, and with which."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from courierweb.portal.frame import render_page
from courierweb.portal.session import page
from mta.models import Mailbox, Message, RuleHit

WINDOW = timedelta(days=30)
_LISTED = 100


@dataclass(frozen=True, slots=True)
class Hits:
    count: int
    last: datetime


def of_thirty_days(mailbox: Mailbox) -> dict[str, Hits]:
    """By the rules' names; a message counts once."""
    found = RuleHit.objects.filter(mailbox=mailbox, at__gt=timezone.now() - WINDOW)
    rows = found.values_list("rule").annotate(Count("message_id", distinct=True), Max("at"))
    return {rule: Hits(count, last) for rule, count, last in rows}


@page
@require_safe
def hits(request: HttpRequest) -> HttpResponse:
    """The messages that one rule did something with."""
    rule = request.GET.get("rule", "")[:200].replace("\0", "")
    found = RuleHit.objects.filter(
        mailbox=request.mailbox, rule=rule, at__gt=timezone.now() - WINDOW
    )
    rows = list(found.order_by("-at")[:_LISTED])
    kept = Message.objects.in_bulk({row.message_id for row in rows})
    shown = [(row, kept.get(row.message_id)) for row in rows]
    return render_page(request, "hits.html", f"Hits of “{rule}”", area="rules", shown=shown)
