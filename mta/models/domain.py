"""Domains this appliance accepts mail for."""

from django.core.exceptions import ValidationError
from django.db import models

from mta.protocol import address, extension


def validate_domain(value: str) -> None:
    """A domain in its stored form: lower case, A-labels, optionally ".name" for sub-domains."""
    try:
        normal = address.normalize_domain(value.removeprefix("."))
    except address.AddressError as error:
        raise ValidationError(str(error)) from error
    if normal.startswith("["):
        raise ValidationError("an address literal is not a domain")


def validate_separators(value: str) -> None:
    """Each character once, and none that means something else in an address."""
    if len(set(value)) != len(value) or set(value) - set(extension.SEPARATORS):
        raise ValidationError(f"only characters of {extension.SEPARATORS}, each once")


class Domain(models.Model):
    """A domain that is ours. `.example.com` stands for every sub-domain of example.com."""

    class Kind(models.TextChoices):
        HOSTED = "hosted", "Hosted here (mailboxes and aliases)"
        LOCAL = "local", "Another name of this host (its mailboxes and aliases)"
        BACKUP = "backup", "Backup MX (accepted, sent on by route or MX)"

    name = models.CharField(max_length=255, unique=True, validators=[validate_domain])
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.HOSTED)
    separators = models.CharField(
        max_length=5,
        default="+",
        blank=True,
        validators=[validate_separators],
        help_text='what sets an extension off: with "+", ann+lists is ann; empty for none',
    )
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        self.name = self.name.strip()
        wildcard = "." if self.name.startswith(".") else ""
        try:
            self.name = wildcard + address.normalize_domain(self.name.removeprefix("."))
        except address.AddressError as error:
            raise ValidationError({"name": str(error)}) from error
        if wildcard and self.kind == self.Kind.HOSTED:
            raise ValidationError({"name": "a wildcard can only be a backup MX domain"})
