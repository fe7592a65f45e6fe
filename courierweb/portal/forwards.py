"""Addresses that rules forward to: who reads one must agree before mail goes there."""

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from courierweb.portal import cautions, scripts
from courierweb.portal.rule import Rule
from courierweb.portal.session import page, private
from mta import forward_confirmation, runtime
from mta.forward_confirmation import CannotAsk
from mta.models import Mailbox
from mta.protocol.address import AddressError


def unconfirmed(mailbox: Mailbox, rule: Rule) -> list[str]:
    return [each for each in cautions.forwards(rule) if not _is_confirmed(mailbox, each)]


def _is_confirmed(mailbox: Mailbox, address: str) -> bool:
    try:
        return forward_confirmation.is_confirmed(mailbox, address)
    except AddressError:
        return False


@page
@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """Send the question to an address that a rule of the owner forwards to."""
    address = request.POST.get("address", "")
    contents = [each.content for each in scripts.load(request.mailbox).script.items]
    rules = [each for each in contents if isinstance(each, Rule)]
    if address not in {each for rule in rules for each in cautions.forwards(rule)}:
        raise Http404("no rule forwards there")
    try:
        forward_confirmation.ask(
            request.mailbox,
            address,
            hostname=runtime.hostname(),
            site=_site(request),
            enqueue=runtime.enqueue,
        )
    except (AddressError, CannotAsk) as error:
        messages.error(request, f"Nobody is asked: {error}.")
    else:
        messages.success(request, f"{address} has been asked, by a mail with a link.")
    return HttpResponseRedirect(reverse("portal:rules"))


@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """For who was asked, who has no mailbox here: opening the link alone agrees to nothing, since
    programs that look at mail open links, too."""
    agreed = request.method == "POST"
    found = forward_confirmation.confirm(token) if agreed else forward_confirmation.asked(token)
    context = {"found": found, "title": "Forwarded mail"}
    return private(render(request, "portal/confirm.html", context, status=200 if found else 404))


def _site(request: HttpRequest) -> str:
    """Where our pages are. A Host header that names another host is not believed: the link goes
    to somebody else."""
    host = request.get_host()
    ours = settings.ENVIRONMENT.hostname
    return f"{request.scheme}://{host}" if host.partition(":")[0] == ours else f"https://{ours}"
