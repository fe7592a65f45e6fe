"""Times of the queue that differ for a domain or a transport (Courier has them only globally)."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from mta.models.domain import validate_domain
from mta.protocol import address

# The settings that may differ, under their own names.
TIMES = (
    "retryalpha",
    "retrybeta",
    "retrygamma",
    "retrymaxdelta",
    "queuetime",
    "dsn_queuetime",
    "warntime",
    "submitdelay",
)


class RetryOverride(models.Model):
    """What is null here is as the transport's row says, else the settings.

    `name` is a recipient domain, ".domain" for its sub-domains, or the name of a transport.
    """

    class Scope(models.TextChoices):
        DOMAIN = "domain", "Recipient domain"
        TRANSPORT = "transport", "Transport"

    scope = models.CharField(max_length=9, choices=Scope, default=Scope.DOMAIN)
    name = models.CharField(
        max_length=255, help_text="example.com, .example.com for its sub-domains, or a transport"
    )
    retryalpha = models.DurationField(
        null=True, blank=True, help_text="pause between the tries of a burst"
    )
    retrybeta = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="tries in a burst"
    )
    retrygamma = models.DurationField(
        null=True, blank=True, help_text="pause between bursts, doubled each time"
    )
    retrymaxdelta = models.PositiveIntegerField(
        null=True, blank=True, help_text="how often that pause is doubled at most"
    )
    queuetime = models.DurationField(
        null=True, blank=True, help_text="after this a message is returned"
    )
    dsn_queuetime = models.DurationField(
        null=True, blank=True, help_text="the same for mail with the null sender"
    )
    warntime = models.DurationField(
        null=True, blank=True, help_text="after this the sender is told of a delay; 0 never"
    )
    submitdelay = models.DurationField(
        null=True, blank=True, help_text="pause before the first attempt"
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["scope", "name"]
        verbose_name = "retry times"
        verbose_name_plural = "retry times"
        constraints = [
            models.UniqueConstraint(fields=["scope", "name"], name="retry_override_name")
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        self.name = self.name.strip().lower()
        if self.scope == self.Scope.DOMAIN:
            validate_domain(self.name)
            dot = "." if self.name.startswith(".") else ""
            self.name = dot + address.normalize_domain(self.name.removeprefix("."))
        elif not self.name.isidentifier():
            raise ValidationError({"name": f"{self.name!r} is no name of a transport"})

    @property
    def times(self) -> dict[str, object]:
        """What the row has a word on, by the names of `TIMES`."""
        values = {name: getattr(self, name) for name in TIMES}
        return {name: value for name, value in values.items() if value is not None}
