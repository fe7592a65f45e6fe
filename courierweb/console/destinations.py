"""The page of destinations: where mail goes, how each is doing, and pause, resume, probe now."""

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from courierweb.console.page import page, render_page
from mta import maillog, runtime
from mta.models import Destination
from mta.queue import destinations as queue_destinations

MOST = 500


@page("mta.view_message")
@require_safe
def destinations(request: HttpRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    if state not in Destination.State.values:
        state = ""
    name = request.GET.get("name", "").replace("\0", "").strip().lower()
    return render_page(
        request,
        "console/destinations.html",
        "Destinations",
        rows=queue_destinations.listing(name=name, state=state, count=MOST),
        state=state,
        name=name,
        states=Destination.State.choices,
        may_act=request.user.has_perm("mta.change_recipient"),
    )


@page("mta.change_recipient")
@require_POST
def apply(request: HttpRequest) -> HttpResponse:
    """One verb on one destination."""
    transport = request.POST.get("transport", "").replace("\0", "")
    nexthop = request.POST.get("nexthop", "").replace("\0", "")
    if not nexthop or not runtime.has_destinations(transport):
        raise BadRequest("no destination is named")
    verb = request.POST.get("verb", "")
    if verb == "pause":
        queue_destinations.pause(transport, nexthop)
        changed, done = True, "paused: its mail waits until you resume it"
    elif verb == "resume":
        changed, done = queue_destinations.resume(transport, nexthop), "resumed"
    elif verb == "probe":
        changed, done = queue_destinations.probe_now(transport, nexthop), "tried now"
    else:
        raise BadRequest("there is no such action")
    if changed:
        maillog.controlled(f"destination {verb}", request.user.get_username(), 1, nexthop)
        runtime.nudge([transport])
        messages.success(request, f"{nexthop} is {done}.")
    else:
        messages.warning(request, "Nothing was changed: its state no longer fits.")
    return HttpResponseRedirect(reverse("console:destinations"))
