"""The forms of what routes name: programs and webhooks."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminPasswordWidget

from courierweb.console.fields import DurationField, LinesField, SizeField
from mta.models import Program, Webhook


class TargetForm(forms.ModelForm):
    """`simultaneous` is the limit of its destination, which is saved behind the row."""

    timeout = DurationField(help_text="for one delivery; then it is ended, and tried again later")
    simultaneous = forms.IntegerField(
        required=False,
        min_value=1,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="deliveries at once; empty for what the setting maxhost says",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["timeout"].initial = self._meta.model._meta.get_field("timeout").get_default()
        if self.instance.pk is not None:
            self.initial["simultaneous"] = self.instance.simultaneous


class ProgramForm(TargetForm):
    argv = LinesField(
        label="Program and arguments",
        help_text="one a line, the absolute path first; no shell reads them. They may hold "
        "${recipient}, ${user}, ${extension}, ${domain}, ${sender}, ${queue_id} and ${size}",
    )
    memory = SizeField(initial=0, help_text="0 for no limit")
    cpu = DurationField(
        initial="0", label="Processor time", help_text="0 for as long as it may run"
    )

    class Meta:
        model = Program
        fields = (
            "name",
            "argv",
            "user",
            "timeout",
            "memory",
            "cpu",
            "separately",
            "crlf",
            "return_path",
            "delivered_to",
            "from_line",
            "enabled",
            "note",
        )


class WebhookForm(TargetForm):
    """The secret is only ever written; one that we made is shown once by the page that follows."""

    new_secret = forms.CharField(
        required=False,
        strip=False,
        label="Secret",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    sizelimit = SizeField(initial=0, label="Largest message it takes", help_text="0 for any size")

    class Meta:
        model = Webhook
        fields = ("name", "url", "form", "timeout", "sizelimit", "private", "enabled", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made = ""
        self.fields["new_secret"].help_text = (
            "one is set; write a new one to replace it"
            if self.instance.secret
            else "leave it empty to have one made, which is then shown once"
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        secret = cleaned.get("new_secret")
        if secret:
            try:
                self.instance.set_secret(secret)
            except forms.ValidationError as error:
                self.add_error("new_secret", error)
        elif not self.instance.secret:
            self.made = self.instance.make_secret()
        return cleaned
