"""Aliases: a name that stands for one or more addresses (Courier's aliases file)."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

from mta.protocol import address, alias_program, virtual_domain


def normalize_alias_name(value: str) -> str:
    """ "local@domain" or "@domain" in stored form: lower case. Raises AddressError."""
    if value.startswith("@"):
        return "@" + address.normalize_domain(value[1:])
    return address.parse(value).lower()


class Alias(models.Model):
    """`name` is "local@domain", or "@domain" for whatever has no entry of its own there.

    Targets are addresses; for "@domain" patterns, too (`mta.protocol.virtual_domain`); and programs
    and files, "|command" and "/path" (`mta.protocol.alias_program`). One target replaces the
    address; several make a private list whose members are queued NOTIFY=NEVER (Courier; spec
    section 3.6).
    """

    name = models.CharField(max_length=320, unique=True)
    targets = ArrayField(models.CharField(max_length=1000))
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "aliases"

    def __str__(self) -> str:
        return self.name

    @property
    def instructions(self) -> tuple[str, ...]:
        """Those targets that are programs or files."""
        return alias_program.instructions_among(self.targets or ())

    def clean(self) -> None:
        try:
            self.name = normalize_alias_name(self.name.strip())
        except address.AddressError as error:
            raise ValidationError({"name": str(error)}) from error
        targets: list[str] = []
        for target in self.targets or []:
            try:
                targets.append(self._parsed(target.strip()))
            except (address.AddressError, alias_program.BadMember) as error:
                raise ValidationError({"targets": f"{target}: {error}"}) from error
        if not targets:
            raise ValidationError({"targets": "an alias needs at least one target"})
        self.targets = list(dict.fromkeys(targets))

    def _parsed(self, target: str) -> str:
        """A target in stored form. Raises AddressError, BadMember."""
        if alias_program.is_instruction(alias_program.bare(target)):
            return alias_program.parse(target)
        if self.name.startswith("@"):
            return virtual_domain.parse_target(target)
        return address.parse(target)
