"""Signing in with the mailbox's address and password, and out again.

Failures count as those of AUTH do (`mta.auth_failures`), for SMTP and the portal together, and by
name and address as those of the console do.
"""

import logging

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from courierweb.console.sign_in import begin_attempt, end_attempt, is_shared
from courierweb.portal import session
from mta import auth_failures, runtime
from mta.models import Mailbox, Refusal
from mta.policy import answers, sender
from mta.policy.decision import Stage
from mta.protocol import address, status

log = logging.getLogger(__name__)

_TOO_MANY = "Too many failed sign-ins. Wait a quarter of an hour and try again."
_WRONG = "This address and password do not go together, or the mailbox is switched off."


class SignInForm(forms.Form):
    address = forms.CharField(
        label="Mail address",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            mailbox = authenticated(
                request.META.get("REMOTE_ADDR", ""),
                form.cleaned_data["address"].strip().lower(),
                form.cleaned_data["password"],
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            response = HttpResponseRedirect(_next(request))
            session.begin(request, response, mailbox)
            return session.private(response)
    elif request.method == "GET" and session.find(request):
        return HttpResponseRedirect(_next(request))
    code = 400 if form.errors else 200
    context = {"form": form, "next": request.GET.get("next", "")}
    return session.private(render(request, "portal/sign_in.html", context, status=code))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    response = HttpResponseRedirect(reverse("portal:sign_in"))
    session.end(request, response)
    messages.success(request, "You are signed out.")
    return session.private(response)


def authenticated(client_ip: str, user: str, password: str) -> Mailbox:
    """The mailbox of the right password. Raises ValidationError with a sentence for the page."""
    directory = runtime.directory()
    limit = directory.refresh().limits.auth_failures
    attempt = begin_attempt(client_ip, user)
    if limit and not is_shared(client_ip) and _failures(client_ip) >= limit:
        raise ValidationError(_TOO_MANY, code="too_many")
    if not directory.authenticate(user, password):
        _note_failure(client_ip, user)
        raise ValidationError(_WRONG, code="wrong")
    end_attempt(attempt)
    local, domain = address.split(user)
    return Mailbox.objects.get(domain__name=domain, local_part=local)


def _failures(client_ip: str) -> int:
    return int(auth_failures.answer(answers.auth_failures(client_ip)).word)


def _note_failure(client_ip: str, user: str) -> None:
    log.warning("sign-in at the portal as %s from %s failed", ascii(user), client_ip)
    Refusal.objects.create(
        at=timezone.now(),
        stage=Stage.AUTH,
        client_ip=client_ip,
        helo="",
        auth_user=user,
        recipient="",
        code=535,
        status=status.BAD_CREDENTIALS,
        text="authentication failed",
        rule=sender.credentials.__name__,
        policy_version=runtime.directory().policy.version,
        trace=[{"rule": "credentials", "matched": True, "detail": "at the portal"}],
        session={"client_ip": client_ip, "listener": "portal"},
    )


def _next(request: HttpRequest) -> str:
    """Where the person wanted to go, when that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    ours = wanted.startswith(session.PATH) and url_has_allowed_host_and_scheme(
        wanted, allowed_hosts=None
    )
    return wanted if ours else reverse("portal:home")
