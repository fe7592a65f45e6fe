"""What a route names by a word of ours: the rows of `pipe:NAME` and `http:NAME`."""

from datetime import timedelta
from typing import Any, ClassVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from mta.models.destination import DeliveryLimit
from mta.protocol.route_target import parse_target


class NamedTarget(models.Model):
    """Something of the administrator's that a transport hands mail to.

    How many deliveries it takes at once is the limit of its destination: there is one place for
    that, which the claiming of work looks at.
    """

    transport: ClassVar[str]

    name = models.CharField(
        max_length=64, unique=True, help_text="small letters, digits, hyphens and underscores"
    )
    timeout = models.DurationField(
        default=timedelta(minutes=1),
        validators=[MinValueValidator(timedelta(seconds=1)), MaxValueValidator(timedelta(hours=1))],
        help_text="then it is ended, and tried again later",
    )
    enabled = models.BooleanField(default=True, help_text="off: its mail waits in the queue")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def nexthop(self) -> str:
        """What a route says to send mail here."""
        return f"{self.transport}:{self.name}"

    @property
    def simultaneous(self) -> int | None:
        """Deliveries at once, None for what the settings say."""
        return self._limits().values_list("simultaneous", flat=True).first()

    def set_simultaneous(self, count: int | None) -> None:
        """Once this row is saved. Raises ValidationError."""
        row = self._limits().first()
        if row is None:
            scope = DeliveryLimit.Scope.DESTINATION
            row = DeliveryLimit(scope=scope, transport=self.transport, nexthop=self.nexthop)
        if row.simultaneous == count:
            return
        row.simultaneous = count
        if count is None and row.per_minute is None:
            row.delete()
            return
        row.full_clean()
        row.save()

    def routes(self) -> list[Any]:
        """The routes that name it."""
        return list(apps.get_model("mta", "Route").objects.filter(relay=self.nexthop))

    def clean(self) -> None:
        try:
            parse_target(self.nexthop)
        except ValueError as error:
            raise ValidationError({"name": str(error)}) from error

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raises ValidationError while routes name it: their mail would have nowhere to go."""
        used = self.routes()
        if used:
            named = ", ".join(str(route) for route in used[:5])
            raise ValidationError(f"{self.name} is in use and stays: {named}")
        self._limits().delete()
        return super().delete(*args, **kwargs)

    def _limits(self) -> models.QuerySet[DeliveryLimit]:
        return DeliveryLimit.objects.filter(
            scope=DeliveryLimit.Scope.DESTINATION, transport=self.transport, nexthop=self.nexthop
        )
