"""Senders whom the owner always takes or never wants (SenderListing)."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from courierweb.portal.frame import render_page
from courierweb.portal.session import page
from mta.models import SenderListing

MOST = 2000


class SenderForm(forms.Form):
    sender = forms.CharField(
        label="Address or @domain", max_length=320, help_text="bob@example.org or @example.org"
    )
    word = forms.ChoiceField(
        label="Their mail is",
        choices=SenderListing.Word.choices,
        widget=forms.RadioSelect,
        initial=SenderListing.Word.BLOCK,
    )

    def clean_sender(self) -> str:
        sender = self.cleaned_data["sender"].strip().lower()
        address = f"x{sender}" if sender.startswith("@") else sender
        try:
            validate_email(address)
        except ValidationError:
            raise ValidationError("This is neither an address nor a domain after @.") from None
        return sender


@page
@require_http_methods(["GET", "HEAD", "POST"])
def senders(request: HttpRequest) -> HttpResponse:
    listings = request.mailbox.sender_listings
    form = SenderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        sender, word = form.cleaned_data["sender"], form.cleaned_data["word"]
        known = listings.filter(sender=sender).exists()
        if not known and listings.count() >= MOST:
            form.add_error(None, f"A mailbox lists at most {MOST} senders.")
        else:
            listings.update_or_create(sender=sender, defaults={"word": word})
            said = SenderListing.Word(word).label.lower()
            messages.success(request, f"{sender} is {said} from the next message on.")
            return HttpResponseRedirect(reverse("portal:senders"))
    return render_page(
        request,
        "senders.html",
        "Allowed and blocked senders",
        area="senders",
        status=400 if form.errors else 200,
        form=form,
        listings=list(listings.all()),
    )


@page
@require_POST
def remove(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_object_or_404(request.mailbox.sender_listings, pk=listing_id)
    sender = listing.sender
    listing.delete()
    messages.success(request, f"{sender} is on no list any more.")
    return HttpResponseRedirect(reverse("portal:senders"))
