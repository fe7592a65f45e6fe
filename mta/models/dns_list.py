"""DNS block and allow lists (spec 2.15)."""

from ipaddress import ip_network

from django.core.exceptions import ValidationError
from django.db import models

from mta.models.rule import RuleState
from mta.protocol import address


class DnsList(models.Model):
    """A zone that is asked about every client. The first block that is in force answers.

    `answers` narrows it to some A answers (addresses or networks, separated by blanks), "" means
    any. `text` is what a listed client reads; "*" stands for the list's own TXT record.
    """

    class Action(models.TextChoices):
        BLOCK = "block", "Block who is listed"
        ALLOW = "allow", "Allow who is listed, whatever the block lists say"

    zone = models.CharField(max_length=255)
    action = models.CharField(max_length=5, choices=Action, default=Action.BLOCK)
    answers = models.CharField(max_length=200, blank=True)
    text = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=7, choices=RuleState.State, default=RuleState.State.ENFORCE)
    position = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "DNS list"
        constraints = [
            models.UniqueConstraint(fields=["zone", "answers"], name="dns_list_zone"),
        ]

    def __str__(self) -> str:
        return self.zone

    def clean(self) -> None:
        try:
            self.zone = address.normalize_domain(self.zone.strip().strip("."))
        except address.AddressError as error:
            raise ValidationError({"zone": str(error)}) from error
        try:
            networks = [ip_network(answer, strict=False) for answer in self.answers.split()]
        except ValueError as error:
            raise ValidationError({"answers": str(error)}) from error
        self.answers = " ".join(str(network).removesuffix("/32") for network in networks)
