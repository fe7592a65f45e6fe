"""Try it: one message, the rules as they are or as drafted, step by step."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from courierweb.portal import mail_files, rules, scripts, trial
from courierweb.portal.draft import find_draft
from courierweb.portal.frame import render_page
from courierweb.portal.session import page
from courierweb.portal.trial import Trial
from mta import runtime
from mta.filters.sieve.evaluate import Message
from mta.filters.sieve.syntax import SieveError

RECENT = 200
SHOWN = 50
MOST_PASTED = 1 << 20


@page
@require_http_methods(["GET", "HEAD", "POST"])
def try_it(request: HttpRequest) -> HttpResponse:
    """GET with `message=TOKEN`, or POST with `pasted`; `draft=1` for the draft of this session."""
    given = request.POST if request.method == "POST" else request.GET
    draft = find_draft(request) if given.get("draft") else None
    text = draft.text if draft else scripts.load(request.mailbox).text
    recent = mail_files.recent(runtime.mail_root(), request.mailbox, RECENT)
    token = given.get("message", "")
    chosen = next((each for each in recent if each.token == token), None)
    if token and chosen is None:
        raise Http404("there is no such message among the recent ones")
    pasted = request.POST.get("pasted", "")[:MOST_PASTED]
    result: Trial | None = None
    error = ""
    if chosen or pasted.strip():
        message = chosen.message if chosen else _pasted(pasted, request.mailbox.address)
        try:
            script = rules.read(text)
            result = trial.attempt(text, script, message, chosen.at if chosen else 0.0)
        except SieveError as trouble:
            error = str(trouble)
    return render_page(
        request,
        "try.html",
        "Try it",
        area="rules",
        draft=draft,
        recent=recent[:SHOWN],
        chosen=chosen,
        pasted=pasted,
        result=result,
        error=error,
    )


def _pasted(text: str, owner: str) -> Message:
    lines = "\r\n".join(text.replace("\r\n", "\n").lstrip("\n").split("\n"))
    message = Message(lines.encode("utf-8", "replace"), "", owner)
    listed = [*message.addresses("return-path"), *message.addresses("from")]
    senders = [address for field in listed for address in field]
    return Message(message.content, senders[0] if senders else "", owner)
