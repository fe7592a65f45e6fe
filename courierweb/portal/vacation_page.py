"""The form of the vacation block."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from courierweb.portal import rules, scripts
from courierweb.portal.frame import render_page
from courierweb.portal.rule import Vacation
from courierweb.portal.session import page
from mta.filters.sieve.syntax import SieveError
from mta.mailbox_scripts import CannotSave

MOST_ADDRESSES = 50


class VacationForm(forms.Form):
    enabled = forms.BooleanField(required=False, label="Answer mail while I am away")
    since = forms.DateField(
        required=False, label="First day", widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    until = forms.DateField(
        required=False, label="Last day", widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    subject = forms.CharField(
        required=False,
        max_length=200,
        help_text="Empty: “Auto:” and the subject of the mail that is answered.",
    )
    text = forms.CharField(label="Answer", max_length=10_000, widget=forms.Textarea({"rows": 8}))
    days = forms.IntegerField(
        label="Days between two answers to the same sender", min_value=1, max_value=60, initial=7
    )
    addresses = forms.CharField(
        required=False,
        label="Other addresses of mine",
        max_length=5000,
        widget=forms.Textarea({"rows": 3}),
        help_text="One per line. Mail that names none of your addresses in To or Cc is not "
        "answered; that of this mailbox is known.",
    )

    def clean_text(self) -> str:
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")

    def clean_addresses(self) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(self.cleaned_data["addresses"].split()))
        if len(found) > MOST_ADDRESSES:
            raise ValidationError(f"At most {MOST_ADDRESSES} addresses.")
        for each in found:
            validate_email(each)
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", "The last day comes before the first.")
        return cleaned

    def vacation(self) -> Vacation:
        known = self.cleaned_data
        since, until = known["since"], known["until"]
        return Vacation(
            known["text"],
            known["subject"],
            since.isoformat() if since else "",
            until.isoformat() if until else "",
            known["days"],
            known["addresses"],
            known["enabled"],
        )


@page
@require_http_methods(["GET", "HEAD", "POST"])
def vacation(request: HttpRequest) -> HttpResponse:
    loaded = scripts.load(request.mailbox)
    now = loaded.script.vacation
    status = 200
    if request.method == "POST":
        form = VacationForm(request.POST)
        if not loaded.error and form.is_valid() and _save(request, form.vacation()):
            return HttpResponseRedirect(reverse("portal:vacation"))
        status = 400
    else:
        form = VacationForm(initial=_initial(now) if now else {"enabled": True})
    return render_page(
        request,
        "vacation.html",
        "Vacation",
        area="vacation",
        status=status,
        form=form,
        now=now,
        base=loaded.base,
        error=loaded.error,
    )


def _save(request: HttpRequest, wanted: Vacation) -> bool:
    loaded = scripts.load(request.mailbox)
    text = rules.write_script(loaded.script.with_vacation(wanted))
    done = f"Vacation is switched {'on' if wanted.enabled else 'off'}."
    try:
        scripts.save(request.mailbox, text, request.POST.get("base", ""), done)
    except (SieveError, CannotSave) as error:
        messages.error(request, f"Nothing is saved: {error}.")
        return False
    messages.success(request, done)
    return True


def _initial(now: Vacation) -> dict[str, Any]:
    return {
        "enabled": now.enabled,
        "since": now.since,
        "until": now.until,
        "subject": now.subject,
        "text": now.text,
        "days": now.days,
        "addresses": "\n".join(now.addresses),
    }
