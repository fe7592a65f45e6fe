"""What would this have done? A draft over the newest messages, before it is saved."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from rq.job import JobStatus

from courierweb.jobs import launch
from courierweb.portal import replay, scripts
from courierweb.portal.draft import drop_draft, find_draft
from courierweb.portal.frame import render_page
from courierweb.portal.session import page
from mta.filters.sieve.syntax import SieveError
from mta.mailbox_scripts import CannotSave
from mta.models import Mailbox

# A draft that touches more than this share of the mail is asked about again.
MUCH = 0.2
_ENDED = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)


@dataclass(frozen=True, slots=True)
class _Owner:
    """The owner of a mailbox as the owner of a job; no user of the console has such a name."""

    mailbox: Mailbox

    def get_username(self) -> str:
        return f"/mail/{self.mailbox.address}"


@page
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Begins the job for the draft of this session and leads to its page."""
    draft = find_draft(request)
    if draft is None:
        return HttpResponseRedirect(reverse("portal:rules"))
    now = scripts.load(request.mailbox).text
    owner = _Owner(request.mailbox)
    try:
        job_id = launch.start(
            replay.what_would_change,
            request.mailbox.pk,
            now,
            draft.text,
            owner=owner,
            title=draft.note,
        )
    except redis.RedisError:
        return _page(request, draft=draft, broker_down=True)
    return HttpResponseRedirect(reverse("portal:preview_job", args=[job_id]))


@page
@require_safe
def job(request: HttpRequest, job_id: str) -> HttpResponse:
    try:
        found = launch.find(job_id, _Owner(request.mailbox))
    except redis.RedisError:
        return _page(request, draft=find_draft(request), broker_down=True)
    if found is None:
        raise Http404("no such job")
    status = found.get_status()
    result = found.return_value() if status is JobStatus.FINISHED else None
    return _page(
        request,
        draft=find_draft(request),
        progress=found.meta.get("progress", []),
        running=status not in _ENDED,
        failed=status in _ENDED and result is None,
        result=result and _shown(result),
        job_id=job_id,
    )


@page
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    draft = find_draft(request)
    if draft is None:
        messages.error(request, "There is no draft any more; it was saved or given up.")
        return HttpResponseRedirect(reverse("portal:rules"))
    if request.POST.get("much") == "ask" and request.POST.get("sure") != "on":
        messages.error(request, "Tick the box to say that so much mail is meant.")
        return HttpResponseRedirect(
            reverse("portal:preview_job", args=[request.POST.get("job", "none")])
        )
    try:
        scripts.save(request.mailbox, draft.text, draft.base, draft.note)
    except (SieveError, CannotSave) as error:
        messages.error(request, f"Nothing is saved: {error}.")
    else:
        drop_draft(request)
        messages.success(request, f"{draft.note} is saved and in force for the next message.")
    return HttpResponseRedirect(reverse("portal:rules"))


def _shown(result: dict[str, Any]) -> dict[str, Any]:
    rows = [row | {"at": datetime.fromtimestamp(row["at"], UTC)} for row in result["rows"]]
    much = result["changed"] > MUCH * result["examined"]
    return result | {"rows": rows, "much": much, "more": result["changed"] - len(rows)}


def _page(request: HttpRequest, **context: Any) -> HttpResponse:
    return render_page(
        request, "preview.html", "What would this have done?", area="rules", **context
    )
