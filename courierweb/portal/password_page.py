"""A new password, for who knows the old one. Every other session of the portal ends."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from courierweb.portal import session
from courierweb.portal.frame import render_page
from courierweb.portal.sign_in import authenticated
from mta.models import Mailbox


class PasswordForm(forms.Form):
    old = forms.CharField(
        label="Present password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label="New password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text="At least 8 characters. A few words are better than one.",
    )
    again = forms.CharField(
        label="New password again",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def clean_new(self) -> str:
        validate_password(self.cleaned_data["new"])
        return str(self.cleaned_data["new"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "new" in cleaned and cleaned.get("again") != cleaned["new"]:
            self.add_error("again", "The two are not the same.")
        return cleaned


@session.page
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            mailbox = _changed(request, form.cleaned_data["old"], form.cleaned_data["new"])
        except ValidationError as error:
            wrong = getattr(error, "code", "") in ("wrong", "too_many")
            form.add_error("old" if wrong else "new", error)
        else:
            messages.success(request, "The password is changed, for mail programs as well.")
            response = HttpResponseRedirect(reverse("portal:password"))
            session.begin(request, response, mailbox)
            return response
    return render_page(
        request,
        "password.html",
        "Password",
        area="password",
        status=400 if form.errors else 200,
        form=form,
    )


def _changed(request: HttpRequest, old: str, new: str) -> Mailbox:
    """Raises ValidationError when the old one is wrong or the new one cannot be one."""
    mailbox = authenticated(request.META.get("REMOTE_ADDR", ""), request.mailbox.address, old)
    mailbox.set_password(new)
    mailbox.save(update_fields=["password", "scram"])
    return mailbox
