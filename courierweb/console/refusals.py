"""The list of what was turned away in the session, and of what rules only logged."""

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_safe

from courierweb.console.filter_form import FilterForm, read_words
from courierweb.console.page import page, render_page
from mta.queue import history
from mta.queue.history import RefusalFilter

PAGE_SIZE = 50
TEXTS = ("rule", "stage", "recipient", "client", "filter", "text")
MODES = {"enforced": True, "logged": False, "kept": True}


@page("mta.view_refusal")
@require_safe
def refusals(request: HttpRequest) -> HttpResponse:
    form = _read(request.GET)
    before = request.GET.get("before", "")
    cursor = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    rows = history.refusals(PAGE_SIZE + 1, cursor, form.filter)
    return render_page(
        request,
        "console/refusals.html",
        "Refused",
        rows=rows[:PAGE_SIZE],
        next_before=rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None,
        form=form,
    )


def _read(data: QueryDict) -> FilterForm[RefusalFilter]:
    read = read_words(data, (*TEXTS, "mode", "within"))
    words = read.words
    within = read.duration("within")
    if words["mode"] not in MODES:
        words["mode"] = ""
    return read.form(
        RefusalFilter(
            rule=words["rule"],
            stage=words["stage"],
            recipient=words["recipient"],
            client_ip=words["client"],
            enforced=MODES.get(words["mode"]),
            kept=words["mode"] == "kept",
            filter_name=words["filter"],
            text=words["text"],
            since=None if within is None else timezone.now() - within,
        )
    )
