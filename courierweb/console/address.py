"""The page "Address resolver": what an address leads to, by the very code of the ingress."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from courierweb.console.page import page, render_page
from mta.address_lookup import NoAddress, as_json, look_up

MAX_LENGTH = 1000
MOST_ENDS = 200
MOST_STEPS = 200
# How the words for where an address stands are coloured.
TONES = {
    "mailbox": "accept",
    "account": "accept",
    "alias": "accept",
    "backup": "accept",
    "foreign": "defer",
    "return-path": "defer",
}


@page("mta.view_alias")
@require_safe
def address(request: HttpRequest) -> HttpResponse:
    """The question is in the URL, so that it can be shared."""
    typed = request.GET.get("q", "").replace("\0", "").strip()[:MAX_LENGTH]
    result, error = _answer(typed) if typed else (None, "")
    return render_page(
        request,
        "console/address.html",
        "Address resolver",
        typed=typed,
        result=result,
        error=error,
        tone=TONES.get(result["standing"], "refuse") if result else "",
        most_ends=MOST_ENDS,
        most_steps=MOST_STEPS,
    )


def _answer(typed: str) -> tuple[dict[str, Any] | None, str]:
    try:
        return as_json(look_up(typed)), ""
    except NoAddress as error:
        return None, f"{typed}: {error}."
