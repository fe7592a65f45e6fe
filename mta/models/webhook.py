"""Webhooks that routes hand mail to: `http:NAME`."""

import secrets

from django.core.exceptions import ValidationError
from django.db import models

from mta.models.appliance_key import appliance_key
from mta.models.named_target import NamedTarget
from mta.protocol import webhook
from mta.protocol.sealed import seal, unseal

MIN_SECRET = 16
_PURPOSE = b"webhook secret"


class Webhook(NamedTarget):
    """Where and how the http transport posts."""

    transport = "http"

    class Form(models.TextChoices):
        RAW = "raw", "The message as it is, the envelope in header fields"
        JSON = "json", "A JSON object with the envelope and the message in base64"

    url = models.CharField(
        max_length=webhook.MAX_URL,
        verbose_name="address",
        help_text="https://..., or http://... in a private network",
    )
    # Sealed. The trigger leaves columns of this name out of the history of changes.
    secret = models.TextField(blank=True, default="", editable=False, db_column="password")
    form = models.CharField(max_length=4, choices=Form, default=Form.RAW)
    sizelimit = models.PositiveBigIntegerField(
        default=0,
        verbose_name="largest message it takes",
        help_text="larger ones fail; 0 for any size",
    )
    private = models.BooleanField(
        default=False,
        verbose_name="may be in a private network",
        help_text="on this machine, in our own network, or where a cloud keeps its metadata",
    )

    class Meta(NamedTarget.Meta):
        pass

    def set_secret(self, secret: str) -> None:
        """Keep the secret that requests are signed with, sealed. Raises ValidationError."""
        if not MIN_SECRET <= len(secret) <= 1000 or not secret.isprintable():
            raise ValidationError(f"a secret has at least {MIN_SECRET} printable characters")
        self.secret = seal(secret, appliance_key(_PURPOSE))

    def make_secret(self) -> str:
        """A new secret, which can be shown now and never again."""
        made = secrets.token_urlsafe(32)
        self.set_secret(made)
        return made

    def facts(self) -> webhook.Webhook:
        """Raises sealed.Unreadable."""
        return webhook.Webhook(
            name=self.name,
            url=self.url,
            secret=unseal(self.secret, appliance_key(_PURPOSE)),
            json=self.form == self.Form.JSON,
            timeout=self.timeout.total_seconds(),
            sizelimit=self.sizelimit,
            private=self.private,
            enabled=self.enabled,
        )

    def clean(self) -> None:
        super().clean()
        self.url = self.url.strip()
        try:
            endpoint = webhook.parse_url(self.url)
            if webhook.is_ip(endpoint.host):
                plain = webhook.Webhook(self.name, self.url, "", private=self.private)
                webhook.check_address(plain, endpoint.host)
        except ValueError as error:
            raise ValidationError({"url": str(error)}) from error
        if not endpoint.secure and not self.private:
            raise ValidationError({"url": "without TLS it must be allowed a private network"})
        if not self.secret:
            raise ValidationError("a webhook needs a secret to sign with")
