"""Load limits that an administrator sets, and what is known of each destination (spec 4.4)."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

ANY = "*"


class DeliveryLimit(models.Model):
    """How much may be under way at once, and how much in a minute; blank is not limited here.

    `nexthop` names a destination of the transport, or a mailbox by its address; "*" stands for
    each one that has no row of its own. For a whole transport it is always "*".
    """

    class Scope(models.TextChoices):
        TRANSPORT = "transport", "A transport as a whole"
        DESTINATION = "destination", "A destination"
        MAILBOX = "mailbox", "A mailbox"

    scope = models.CharField(max_length=11, choices=Scope, default=Scope.DESTINATION)
    transport = models.CharField(max_length=20, default="esmtp")
    nexthop = models.CharField("destination or mailbox", max_length=500, default=ANY)
    simultaneous = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="deliveries at once"
    )
    per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="messages a minute"
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["transport", "scope", "nexthop"]
        constraints = [
            models.UniqueConstraint(
                fields=["transport", "scope", "nexthop"], name="delivery_limit_of"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}: {self.transport} {self.nexthop}"

    def clean(self) -> None:
        self.nexthop = self.nexthop.strip() or ANY
        if self.scope == self.Scope.TRANSPORT and self.nexthop != ANY:
            raise ValidationError({"nexthop": 'a transport as a whole has the destination "*"'})
        if self.scope == self.Scope.MAILBOX:
            self.nexthop = self.nexthop.lower()
            if self.per_minute is not None:
                raise ValidationError({"per_minute": "a mailbox has no rate, only simultaneous"})
        if self.simultaneous is None and self.per_minute is None:
            raise ValidationError("set simultaneous, per_minute or both")


class Destination(models.Model):
    """What the scheduler has learnt of one next hop; made when mail is first claimed for it.

    `concurrency` is how many deliveries at once it is trusted with now; the limits bound it.
    While it is down or told us to wait, nothing is claimed before `next_probe`. `tokens` is
    what its rate leaves, as of `tokens_at`. The row with the next hop "*" holds the tokens of
    the transport as a whole.
    """

    class State(models.TextChoices):
        OK = "ok", "OK"
        THROTTLED = "throttled", "Throttled"
        DOWN = "down", "Down"
        PAUSED = "paused", "Paused"

    transport = models.CharField(max_length=20)
    nexthop = models.TextField()
    state = models.CharField(
        max_length=9, choices=State, default=State.OK, db_default=State.OK.value
    )
    concurrency = models.IntegerField(default=2, db_default=2)
    failures = models.IntegerField(default=0, db_default=0)
    next_probe = models.DateTimeField(null=True)
    last_ok_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=timezone.now)
    served_at = models.DateTimeField(null=True)
    last_reply = models.TextField(default="", db_default="")
    tokens = models.FloatField(null=True)
    tokens_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transport", "nexthop"], name="destination_hop"),
        ]

    def __str__(self) -> str:
        return f"{self.transport} {self.nexthop}"
