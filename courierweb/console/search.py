"""The search page: one box over accepted and refused mail."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from courierweb.console.page import page, render_page
from mta.queue import history

MOST_HITS = 100
MAX_LENGTH = 1000

EXAMPLES = (
    ("alice@example.com", "everything from or to this address"),
    ("to:alice@example.com status:refused", "mail for Alice that was turned away"),
    ("from:news*", "a sender that begins so"),
    ("ip:192.0.2.7", "what this host brought or tried to bring"),
    ("rule:unknown_here", "refusals by one rule"),
    ("status:logged", "what rules that only log would have refused"),
    ("status:5.1.1", "replies with this status"),
)


@page("mta.view_message")
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "").replace("\0", "").strip()[:MAX_LENGTH]
    hits = history.search(query, MOST_HITS + 1)
    if len(hits) == 1 and hits[0].queue_id == query.lower():
        return HttpResponseRedirect(reverse("console:message", args=[hits[0].queue_id]))
    return render_page(
        request,
        "console/search.html",
        "Search",
        query=query,
        hits=hits[:MOST_HITS],
        more=len(hits) > MOST_HITS,
        limit=MOST_HITS,
        examples=EXAMPLES,
    )
