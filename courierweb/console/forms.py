"""The forms of the policy pages."""

from ipaddress import IPv4Network
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.hashers import is_password_usable
from django.db import models
from unfold.forms import UnfoldReadOnlyPasswordHashWidget, UserChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from courierweb.console.fields import DurationField, LinesField, SizeField, SwitchField
from mta.models import (
    AccessRule,
    Alias,
    DeliveryLimit,
    DnsList,
    Listener,
    Mailbox,
    RetryOverride,
    Route,
    Settings,
)
from mta.models.retry_override import TIMES

UNSET = "as the listener says"
SWITCHES = {
    "auth_required": ("Users only", "only who has signed in may send"),
    "tls_required": ("TLS only", "no mail in clear"),
    "checkdns": ("Check the sender's domain", "it must exist and have working MX records"),
    "spf": ("SPF", "ask SPF as the settings say"),
    "dnslists": ("DNS lists", "ask the DNS lists"),
    "tarpit": ("Tarpit", "answer errors slowly"),
    "exdata": ("Verdicts unasked", "answer 558 after DATA when recipients differ: for Courier"),
}


class MailboxForm(forms.ModelForm):
    """A mailbox; the password is only ever written, never shown."""

    new_password = forms.CharField(
        required=False,
        strip=False,
        label="Password",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    quota = SizeField(initial=0, help_text='for example "2 GiB"; 0 means no limit')
    sizelimit = SizeField(
        initial=0,
        required=False,
        label="Largest message it takes",
        help_text="0 means the server's limit",
    )
    submission_sizelimit = SizeField(
        initial=0,
        required=False,
        label="Largest message its user may send",
        help_text="0 means the server's limit",
    )

    class Meta:
        model = Mailbox
        fields = (
            "local_part",
            "domain",
            "name",
            "enabled",
            "quota",
            "sizelimit",
            "submission_sizelimit",
            "own_filter",
        )
        labels = {
            "local_part": "Mailbox",
            "name": "Person or role",
            "own_filter": "May judge mail by programs",
        }
        help_texts = {
            "local_part": "the part before the @",
            "enabled": "off: new mail is refused with 5.2.1",
            "name": "",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            text = "leave empty for a mailbox that receives mail but cannot sign in"
        elif self.instance.password:
            text = "a password is set; write a new one to replace it"
        else:
            text = "no password is set, so nobody can sign in"
        self.fields["new_password"].help_text = text

    def clean_sizelimit(self) -> int:
        return self.cleaned_data["sizelimit"] or 0

    def clean_submission_sizelimit(self) -> int:
        return self.cleaned_data["submission_sizelimit"] or 0

    def clean_new_password(self) -> str:
        password = self.cleaned_data["new_password"]
        if password:
            password_validation.validate_password(password)
            self.instance.set_password(password)
        return password


class RouteForm(forms.ModelForm):
    """A route; the password for its relay is only ever written, never shown."""

    _PLACE = ("relay", "port", "user")

    new_password = forms.CharField(
        required=False,
        strip=False,
        label="Password",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = Route
        fields = ("domain", "sender", "relay", "port", "security", "ip_version", "user", "note")
        labels = {"ip_version": "Addresses"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_set = bool(self.instance.password)
        self.fields["new_password"].help_text = (
            "a password is set; write a new one to replace it" if is_set else "of that user"
        )
        self._signed_in_at = self._relay_of(self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        password = cleaned.get("new_password")
        if password:
            self.instance.set_password(password)
        elif cleaned.get("user") and self.instance.password and self._is_elsewhere(cleaned):
            # Who may edit routes must not be able to send a stored password to a host of theirs.
            self.add_error("new_password", "Another relay or user: write the password again.")
        return cleaned

    def _is_elsewhere(self, cleaned: dict[str, Any]) -> bool:
        return self._signed_in_at != tuple(cleaned.get(name) for name in self._PLACE)

    def _relay_of(self, route: Route) -> tuple[Any, ...]:
        return tuple(getattr(route, name) for name in self._PLACE)


class HiddenHash(UnfoldReadOnlyPasswordHashWidget):
    """Says whether there is a password, and shows no part of its hash."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        is_set = bool(value) and is_password_usable(value)
        context["summary"] = [{"label": "a password is set" if is_set else "no password is set"}]
        return context


class AdministratorForm(UserChangeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].widget = HiddenHash()


class AliasForm(forms.ModelForm):
    """An alias; only an administrator makes it run a program or write a file."""

    # Set by the page for who is signed in.
    may_run = False

    targets = LinesField(help_text="one address a line; several make a list")

    class Meta:
        model = Alias
        fields = ("name", "targets", "note")
        labels = {"name": "Address"}
        help_texts = {
            "name": '"name@domain", or "@domain" for whatever has no mailbox or alias of its own; '
            'for that "account" sends x to account-x of this host, "*@example.org" to the same '
            "name there"
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = set(self.instance.instructions)
        self.fields["targets"].help_text += (
            '. "|command" runs a command and "/path" writes a file or a Maildir, both as the '
            f"user {Settings.load().aliasuser} of this host, for whoever may send to the address"
        )
        if not self.may_run:
            self.fields["targets"].help_text += "; only an administrator can add these"

    def _post_clean(self) -> None:
        """After the model has put the targets into their stored form."""
        super()._post_clean()
        added = set(self.instance.instructions) - self._before
        if added and not self.may_run and "targets" not in self._errors:
            self.add_error(
                "targets", "only an administrator can have programs run and files written"
            )


class AccessRuleForm(forms.ModelForm):
    """A rule that opens relaying to a very wide network must be confirmed by typing it again."""

    confirmation = forms.CharField(
        required=False,
        label="Confirm a wide relay",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="needed only to let more than a /8 (IPv6: a /32) relay: type the prefix again",
    )

    sizelimit = SizeField(
        required=False, label="Largest message", help_text=f"empty: {UNSET}; such as 50 MiB"
    )

    class Meta:
        model = AccessRule
        exclude = ("created_at",)
        labels = {
            "prefix": "Network",
            "text": "Reply text",
            "proxy": "Load balancer",
            "checkhelo": "Check HELO",
            "maxperip": "Connections per address",
            "mime": "Broken MIME",
        }
        help_texts = {
            "prefix": "an address, or a network like 192.0.2.0/24 or 2001:db8::/32",
            "maxperip": f"empty: {UNSET}; 0 for no limit",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (label, help_text) in SWITCHES.items():
            self.fields[name] = SwitchField(UNSET, label=label, help_text=help_text)
        for name in ("checkhelo", "mime"):
            field = self.fields[name]
            field.choices = [("", UNSET), *(choice for choice in field.choices if choice[0] != "")]

    def _post_clean(self) -> None:
        """After the model has put the prefix into its normal form."""
        super()._post_clean()
        if "prefix" in self._errors or not {"prefix", "relay"} & set(self.changed_data):
            return
        rule = self.instance
        typed = self.cleaned_data.get("confirmation", "").strip()
        if rule.is_wide_relay and typed not in {rule.prefix, self.data.get("prefix", "").strip()}:
            self.add_error(
                "confirmation",
                f"{rule.prefix} would make this an open relay for a very large part of the "
                "Internet, and others would soon refuse its mail. If that is what you want, "
                f"type {rule.prefix} here.",
            )


class DnsListForm(forms.ModelForm):
    """A list; the answers that narrow it are compared with addresses, so they must be some."""

    class Meta:
        model = DnsList
        fields = ("zone", "action", "state", "answers", "text", "position", "note")
        help_texts = {
            "zone": "for example zen.example.org",
            "answers": "only these A answers count, addresses or networks; empty for any",
            "text": 'what a listed client reads; "*" for the list\'s own TXT record',
            "position": "lists are asked together; the lowest number that blocks answers",
        }

    def clean_answers(self) -> str:
        answers = self.cleaned_data["answers"].split()
        for answer in answers:
            try:
                IPv4Network(answer, strict=False)
            except ValueError as error:
                raise forms.ValidationError(str(error)) from error
        return " ".join(answers)


class ListenerForm(forms.ModelForm):
    """One of the three doors; a new row is for one that has none."""

    sizelimit = SizeField(
        required=False, label="Largest message", help_text="empty for that of the settings"
    )

    class Meta:
        model = Listener
        fields = ("name", "sizelimit", "mime", "tls_required")
        labels = {"name": "Listener", "mime": "Broken MIME", "tls_required": "TLS only"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            taken = set(Listener.objects.values_list("name", flat=True))
            field = self.fields["name"]
            field.choices = [choice for choice in field.choices if choice[0] not in taken]


class RetryOverrideForm(forms.ModelForm):
    """Durations in words; an empty field has no word on it."""

    class Meta:
        model = RetryOverride
        fields = ("scope", "name", *TIMES, "note")
        field_classes = {
            field.name: DurationField
            for field in RetryOverride._meta.concrete_fields
            if isinstance(field, models.DurationField)
        }


class DeliveryLimitForm(forms.ModelForm):
    """A limit, with the forms in which a destination is written."""

    class Meta:
        model = DeliveryLimit
        fields = ("scope", "transport", "nexthop", "simultaneous", "per_minute", "note")
        help_texts = {
            "transport": "esmtp for other hosts, local for mailboxes here; a mailbox is of local",
            "nexthop": "a destination as its page shows it (mx:example.com), or the address of a "
            "mailbox; * for each that has no row of its own",
            "simultaneous": "deliveries at once, over all worker hosts; empty for no limit here",
            "per_minute": "messages a minute, over all worker hosts; empty for no limit here",
        }


class SettingsForm(forms.ModelForm):
    """All settings; durations and sizes in words."""

    sizelimit = SizeField(help_text="largest message")
    headerlimit = SizeField(help_text="largest header section")
    dsnlimit = SizeField(help_text="a failure DSN returns the whole message below this size")
    respawnmemory = SizeField(help_text="a worker that holds more memory is started anew")
    minfree = SizeField(help_text="no mail is taken or delivered with less free disk space")

    class Meta:
        model = Settings
        exclude = ("id",)
        help_texts = {
            "retryalpha": "pause between the tries of a round",
            "retrybeta": "tries in a round",
            "retrygamma": "pause after the first round",
            "retrymaxdelta": "how often that pause may double",
            "esmtptimeoutconnect": "waiting for a connection",
            "esmtptimeouthelo": "waiting for the greeting and the answer to EHLO",
            "esmtptimeout": "waiting for the answer to another command",
            "esmtptimeoutdata": "sending a block of the message",
            "esmtptimeoutquit": "waiting for the answer to QUIT",
            "keep_refusals": "how long refused mail stays in the history",
            "keep_destinations": "how long destinations without mail are remembered",
        }
        field_classes = {
            field.name: DurationField
            for field in Settings._meta.concrete_fields
            if isinstance(field, models.DurationField)
        }
