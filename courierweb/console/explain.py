"""The page "Explain": what a session would be told, and why, by the very code of the ingress."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from courierweb.console.explain_form import ExplainForm, read_form
from courierweb.console.page import page, render_page
from mta.explain import explain as explain_session
from mta.explanation import LISTENERS, BadRequest, as_json

# Beyond this a server in front of us might refuse the link.
LONGEST_LINK = 2000
MOST_DESTINATIONS = 100
VERDICT_TITLES = {"accept": "Accepted", "defer": "Deferred", "refuse": "Refused"}


@page("mta.view_refusal")
@require_http_methods(["GET", "HEAD", "POST"])
def explain(request: HttpRequest) -> HttpResponse:
    """A posted form without a message text becomes a link; with one it is answered as it is."""
    form = read_form(request.POST if request.method == "POST" else request.GET)
    if request.method == "POST" and not form.words["message"] and len(form.query) < LONGEST_LINK:
        return HttpResponseRedirect(f"{reverse('console:explain')}?{form.query}")
    result, errors = _answer(form)
    return render_page(
        request,
        "console/explain.html",
        "Explain",
        words=form.words,
        listeners=LISTENERS,
        errors=errors,
        result=result,
        title_word=VERDICT_TITLES[result["verdict"]] if result else "",
        most_destinations=MOST_DESTINATIONS,
        link=request.get_full_path() if result and request.method != "POST" else "",
    )


def _answer(form: ExplainForm) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The explanation, or what is wrong with the question."""
    if form.request is None:
        return None, form.errors
    try:
        explanation = as_json(explain_session(form.request))
    except BadRequest as error:
        return None, (f"{error}.",)
    for stage in explanation["stages"]:
        stage["open"] = any(step["matched"] for step in stage["steps"]) or bool(stage["answers"])
    return explanation, ()
