"""The queue page, and the verbs on its rows: hold, release, retry, reroute, expire, cancel."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from courierweb.console.fields import parse_duration
from courierweb.console.filter_form import FilterForm
from courierweb.console.page import page, render_page
from courierweb.console.queue_filter import read_filter
from mta import next_hop
from mta.models.message import State
from mta.protocol.queue_id import decode_queue_id
from mta.queue import control, destinations, history
from mta.queue.control import Selection
from mta.queue.history import QueueFilter

PAGE_SIZE = 50
MOST_GROUPS = 12


def _retry(selection: Selection, actor: str) -> int:
    """Who asks for a try now means a destination that is being left alone too."""
    changed = control.retry(selection, actor)
    destinations.probe_all()
    return changed


@dataclass(frozen=True, slots=True)
class Verb:
    """What may be done to recipients in certain states.

    `run(selection, actor, reason, value)` does it; `asks` is what the value is, "" for none. A
    value that cannot be meant raises ValueError with a sentence.
    """

    name: str
    title: str
    done: str
    states: tuple[State, ...]
    explanation: str
    run: Callable[[Selection, str, str, str], int]
    takes_reason: bool = False
    asks: str = ""
    example: str = ""
    dangerous: bool = False


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "hold",
            "Hold",
            "held",
            (State.QUEUED,),
            "They stay in the queue and are not tried until somebody releases them. "
            "They still expire.",
            lambda selection, actor, reason, _: control.hold(selection, actor, reason),
            takes_reason=True,
        ),
        Verb(
            "release",
            "Release",
            "released",
            (State.HELD,),
            "They are tried again when their next attempt is due.",
            lambda selection, actor, *_: control.release(selection, actor),
        ),
        Verb(
            "retry",
            "Retry now",
            "due now",
            (State.QUEUED,),
            "Their next attempt is made at once.",
            lambda selection, actor, *_: _retry(selection, actor),
        ),
        Verb(
            "reroute",
            "Reroute",
            "rerouted",
            (State.QUEUED, State.HELD),
            "They go to another host from now on, whatever their addresses say, and the queued "
            "ones are due at once. Write normal to give them back to routes and MX.",
            lambda selection, actor, reason, value: control.reroute(
                selection, actor, next_hop.parse(value), reason
            ),
            takes_reason=True,
            asks="Next hop",
            example=next_hop.FORMS,
        ),
        Verb(
            "expiry",
            "Change expiry",
            "given another time",
            (State.QUEUED, State.HELD),
            "They are tried until then, counted from now, and returned to their senders after it.",
            lambda selection, actor, reason, value: control.expire_at(
                selection, actor, timezone.now() + parse_duration(value), reason
            ),
            takes_reason=True,
            asks="Time from now",
            example="2 d, or 0 to give up at the next attempt",
        ),
        Verb(
            "cancel",
            "Cancel",
            "cancelled",
            (State.QUEUED, State.HELD),
            "They are given up for good, and the senders get a failure report with your reason. "
            "This cannot be undone.",
            lambda selection, actor, reason, _: control.cancel(selection, actor, reason),
            takes_reason=True,
            dangerous=True,
        ),
    )
}


@page("mta.view_message")
@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    form = read_filter(request.GET)
    rows, after = _rows(request, form)
    counts = history.queue_counts()
    if form.active:
        matching = control.count(Selection(filter=form.filter))
    else:
        matching = sum(counts.values())
    return render_page(
        request,
        "console/queue.html",
        "Queue",
        form=form,
        rows=rows[:PAGE_SIZE],
        next_cursor=rows[PAGE_SIZE - 1].cursor if len(rows) > PAGE_SIZE else "",
        after=after,
        counts=counts,
        groups=[] if form.active or after else history.queue_groups(MOST_GROUPS),
        matching=matching,
        verbs=VERBS.values(),
        ages=("15 min", "1 h", "4 h", "1 d", "2 d"),
        may_act=request.user.has_perm("mta.change_recipient"),
    )


def _rows(
    request: HttpRequest, form: FilterForm[QueueFilter]
) -> tuple[list[history.QueueRow], str]:
    """One row more than a page; a cursor that cannot be read means the first page."""
    after = request.GET.get("after", "").replace("\0", "")
    try:
        return history.queue_page(form.filter, after or None, PAGE_SIZE + 1), after
    except ValueError:
        return history.queue_page(form.filter, None, PAGE_SIZE + 1), ""


@page("mta.change_recipient")
@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Shows how many recipients the verb would change before it does."""
    verb, selection, form = _read_order(request)
    if not (request.POST.get("all") or selection.recipient_ids or selection.message_ids):
        messages.warning(request, "Tick at least one row first.")
        return HttpResponseRedirect(_queue_url(form))
    return render_page(
        request,
        "console/queue_confirm.html",
        f"{verb.title}: are you sure?",
        verb=verb,
        count=control.count(selection, verb.states),
        selected=control.count(selection),
        form=form,
        everything=bool(request.POST.get("all")),
        recipient_ids=selection.recipient_ids,
        queue_id=request.POST.get("message", ""),
        back=_back(request, form),
    )


@page("mta.change_recipient")
@require_POST
def apply(request: HttpRequest) -> HttpResponse:
    """Does it, and tells how many recipients really changed."""
    verb, selection, form = _read_order(request)
    if not (request.POST.get("all") or selection.recipient_ids or selection.message_ids):
        raise BadRequest("nothing is selected")
    reason = request.POST.get("reason", "").replace("\0", "").strip()
    if verb.dangerous and not reason:
        messages.error(request, "Write a reason: the sender reads it in the report.")
        return confirm(request)
    value = request.POST.get("value", "").replace("\0", "")
    try:
        changed = verb.run(selection, request.user.get_username(), reason, value)
    except ValueError as error:
        messages.error(request, f"{verb.asks}: {error}")
        return confirm(request)
    noun = "recipient is" if changed == 1 else "recipients are"
    if changed:
        messages.success(request, f"{changed:,} {noun} {verb.done}.")
    else:
        messages.warning(request, "Nothing was changed: the state of the rows no longer fits.")
    return HttpResponseRedirect(_back(request, form))


def _read_order(request: HttpRequest) -> tuple[Verb, Selection, FilterForm[QueueFilter]]:
    """The verb, what it is for, and the filter of the page it came from. Raises BadRequest."""
    verb = VERBS.get(request.POST.get("verb", ""))
    if verb is None:
        raise BadRequest("there is no such action")
    form = read_filter(QueryDict(request.POST.get("filter", "")))
    if request.POST.get("all"):
        return verb, Selection(filter=form.filter), form
    try:
        recipient_ids = tuple(int(text) for text in request.POST.getlist("recipient"))
        queue_id = request.POST.get("message", "")
        message_ids = (decode_queue_id(queue_id),) if queue_id else ()
    except ValueError as error:
        raise BadRequest("a selected row has no valid number") from error
    if any(not 0 < number < 1 << 63 for number in recipient_ids):
        raise BadRequest("a selected row has no valid number")
    return verb, Selection(message_ids, recipient_ids), form


def _queue_url(form: FilterForm[QueueFilter]) -> str:
    return f"{reverse('console:queue')}?{form.query}"


def _back(request: HttpRequest, form: FilterForm[QueueFilter]) -> str:
    """The message page for an action on one message, else the list it came from."""
    queue_id = request.POST.get("message", "")
    return reverse("console:message", args=[queue_id]) if queue_id else _queue_url(form)
