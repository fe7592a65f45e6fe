"""What deliveries have taught us: addresses that fail, and domains that refuse reports."""

from django.db import models


class AddressTrouble(models.Model):
    """An address whose last delivery failed or was deferred (spec 4.9); a success removes it.

    While it is young, mail from outside for the address is refused at RCPT, 556 when `permanent`
    and else 456.
    """

    address = models.TextField(primary_key=True)
    permanent = models.BooleanField()
    reply = models.TextField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["at"], name="address_trouble_at")]
        verbose_name = "address in trouble"
        verbose_name_plural = "addresses in trouble"

    def __str__(self) -> str:
        return self.address


class DsnRefuser(models.Model):
    """A domain whose servers refuse MAIL FROM:<> (spec 4.8).

    After so many refusals mail from it is refused, until `expires_at`; `exempt` spares it.
    """

    domain = models.CharField(max_length=255, unique=True)
    refusals = models.PositiveIntegerField(default=1)
    reply = models.TextField()
    host = models.TextField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    exempt = models.BooleanField(default=False)

    class Meta:
        ordering = ["domain"]
        verbose_name = "domain that refuses reports"
        verbose_name_plural = "domains that refuse reports"

    def __str__(self) -> str:
        return self.domain
