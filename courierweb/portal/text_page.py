"""The rules as Sieve text, and the versions that were saved."""

import difflib

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from courierweb.portal import scripts
from courierweb.portal.draft import Draft, keep_draft
from courierweb.portal.frame import render_page
from courierweb.portal.session import page
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from mta.mailbox_scripts import MAX_SCRIPT_OCTETS, CannotSave
from mta.models import ScriptVersion

SHOWN_VERSIONS = 50


@page
@require_http_methods(["GET", "HEAD", "POST"])
def text(request: HttpRequest) -> HttpResponse:
    loaded = scripts.load(request.mailbox)
    if request.method != "POST":
        return _text_page(request, loaded.text, loaded.base, _error(loaded.text))
    given = _posted(request, loaded.text)
    base = request.POST.get("base", "")
    error = _error(given)
    if error is None and "save" in request.POST:
        try:
            scripts.save(request.mailbox, given, base, "Sieve text")
        except CannotSave as trouble:
            messages.error(request, f"Nothing is saved: {trouble}.")
            return _text_page(request, given, base, None, status=409)
        messages.success(request, "The script is saved and in force for the next message.")
        return HttpResponseRedirect(reverse("portal:text"))
    if error is not None:
        return _text_page(request, given, base, error, status=400)
    keep_draft(request, Draft(given, base, "The Sieve text"))
    where = "try" if "try" in request.POST else "preview"
    return HttpResponseRedirect(f"{reverse(f'portal:{where}')}?draft=1")


def _posted(request: HttpRequest, now: str) -> str:
    """A browser sends CRLF; the text keeps the line ends that it had."""
    given = request.POST.get("text", "").replace("\r\n", "\n")
    return given.replace("\n", "\r\n") if "\r\n" in now else given


def _error(given: str) -> SieveError | None:
    if len(given.encode("utf-8", "replace")) > MAX_SCRIPT_OCTETS:
        return SieveError(1, 1, f"a script has at most {MAX_SCRIPT_OCTETS >> 10} KiB")
    try:
        compile_script(given)
    except SieveError as error:
        return error
    return None


def _text_page(
    request: HttpRequest, given: str, base: str, error: SieveError | None, status: int = 200
) -> HttpResponse:
    lines = given.split("\n")
    around = lines[error.line - 1] if error and error.line <= len(lines) else ""
    return render_page(
        request,
        "text.html",
        "Sieve text",
        area="rules",
        status=status,
        text=given,
        base=base,
        error=error,
        error_before=around[: error.column - 1] if error else "",
        error_after=around[error.column - 1 :] if error else "",
    )


@page
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    script = scripts.row(request.mailbox)
    versions = list(script.versions.all()[:SHOWN_VERSIONS]) if script else []
    return render_page(request, "history.html", "History", area="rules", versions=versions)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def version(request: HttpRequest, version_id: int) -> HttpResponse:
    """One version beside the rules of today; POST goes back to it."""
    kept = get_object_or_404(ScriptVersion, pk=version_id, script=scripts.row(request.mailbox))
    loaded = scripts.load(request.mailbox)
    if request.method == "POST":
        note = f"Back to {kept.saved_at:%Y-%m-%d %H:%M}"
        try:
            scripts.save(request.mailbox, kept.text, request.POST.get("base", ""), note)
        except (SieveError, CannotSave) as error:
            messages.error(request, f"Nothing is saved: {error}.")
        else:
            messages.success(request, "The rules are as they were then.")
        return HttpResponseRedirect(reverse("portal:rules"))
    return render_page(
        request,
        "version.html",
        f"Version of {kept.saved_at:%Y-%m-%d %H:%M}",
        area="rules",
        version=kept,
        base=loaded.base,
        same=kept.text == loaded.text,
        lines=_difference(loaded.text, kept.text),
    )


def _difference(now: str, then: str) -> list[tuple[str, str]]:
    """(what, line): "added" or "removed" by going back, or "same"."""
    kinds = {"+": "added", "-": "removed", " ": "same"}
    compared = difflib.ndiff(now.splitlines(), then.splitlines())
    return [(kinds[line[0]], line[2:]) for line in compared if line[0] in kinds]
