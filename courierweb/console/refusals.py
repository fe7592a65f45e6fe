"""The list of what was turned away in the session, and of what rules only logged."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_safe

from courierweb.console.fields import parse_duration
from courierweb.console.page import page, render_page
from mta.queue import history
from mta.queue.history import RefusalFilter

PAGE_SIZE = 50
MAX_LENGTH = 320
TEXTS = ("rule", "stage", "recipient", "client")
MODES = {"enforced": True, "logged": False}


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The words as they stand in the URL, the filter they make, and what is wrong with them."""

    words: dict[str, str]
    filter: RefusalFilter
    errors: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        return urlencode({name: word for name, word in self.words.items() if word})

    @property
    def active(self) -> bool:
        return any(self.words.values())


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


def _read(data: QueryDict) -> FilterForm:
    """What cannot be understood narrows nothing and is told in `errors`."""
    words = {
        name: data.get(name, "").replace("\0", "").strip()[:MAX_LENGTH]
        for name in (*TEXTS, "mode", "within")
    }
    errors = []
    since = None
    if words["within"]:
        try:
            since = timezone.now() - parse_duration(words["within"])
        except ValueError as error:
            errors.append(f"Within: {error}.")
            words["within"] = ""
    if words["mode"] not in MODES:
        words["mode"] = ""
    wanted = RefusalFilter(
        rule=words["rule"],
        stage=words["stage"],
        recipient=words["recipient"],
        client_ip=words["client"],
        enforced=MODES.get(words["mode"]),
        since=since,
    )
    return FilterForm(words, wanted, tuple(errors))
