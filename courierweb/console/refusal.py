"""What an administrator does with refused mail that is kept: reads it, accepts it after all."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from courierweb.console.message import MOST_SOURCE_OCTETS
from courierweb.console.page import page, render_page
from mta import maillog, pardon
from mta.models import Refusal, RefusedContent
from mta.queue import refused_content


@page("mta.change_recipient")
@require_http_methods(["GET", "HEAD", "POST"])
def accept(request: HttpRequest, refusal_id: int) -> HttpResponse:
    """Asks, and when it was asked and confirmed, does it."""
    row = get_object_or_404(Refusal, pk=refusal_id)
    if request.method == "POST":
        return _accept(request, row)
    kept = get_object_or_404(RefusedContent.objects.defer("content"), pk=row.content_id)
    return render_page(
        request,
        "console/refusal_accept.html",
        "Accept after all: are you sure?",
        refusal=row,
        kept=kept,
        recipients=pardon.recipients(row, refused_content.envelope_of(kept)),
    )


def _accept(request: HttpRequest, row: Refusal) -> HttpResponse:
    try:
        queue_id = pardon.accept(row.pk, request.user.get_username())
    except pardon.CannotAccept as error:
        messages.error(request, f"It was not accepted: {error}.")
        return HttpResponseRedirect(reverse("console:refusal", args=[row.pk]))
    messages.success(request, f"The message is queued as {queue_id}.")
    return HttpResponseRedirect(reverse("console:message", args=[queue_id]))


@page("mta.view_refusal")
@require_safe
def source(request: HttpRequest, refusal_id: int) -> HttpResponse:
    """The message as it came; reading other people's mail is for superusers, and on record."""
    if not request.user.is_superuser:
        raise PermissionDenied
    row = get_object_or_404(Refusal, pk=refusal_id)
    kept = RefusedContent.objects.filter(pk=row.content_id).defer("content").first()
    if kept is None:
        raise Http404("the content is not kept any more")
    maillog.read(request.user.get_username(), f"refusal {row.pk}")
    return render_page(
        request,
        "console/refusal_source.html",
        f"Source of refusal {row.pk}",
        refusal=row,
        kept=kept,
        source=refused_content.head(kept.pk, MOST_SOURCE_OCTETS).decode("utf-8", "replace"),
        cut=kept.size > MOST_SOURCE_OCTETS,
    )
