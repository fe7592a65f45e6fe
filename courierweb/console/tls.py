"""TLS with other hosts: who is secured by what, and what failed."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from courierweb.console.filter_form import read_words
from courierweb.console.page import page, render_page
from mta.queue import tls_tallies

MODES = ("", "failed")
PAGE_SIZE = 200


@page("mta.view_tlstally")
@require_safe
def tls(request: HttpRequest) -> HttpResponse:
    read = read_words(request.GET, ("domain", "show", "within"))
    words = read.words
    window = read.duration("within") or tls_tallies.WINDOW
    if words["show"] not in MODES:
        words["show"] = ""
    rows = tls_tallies.destinations(
        words["domain"], failed_only=words["show"] == "failed", window=window, limit=PAGE_SIZE
    )
    return render_page(
        request,
        "console/tls.html",
        "TLS",
        rows=rows,
        full=len(rows) == PAGE_SIZE,
        tallies=tls_tallies.tallies(words["domain"]) if words["domain"] else [],
        form=read.form(None),
    )
