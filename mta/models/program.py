"""Programs that routes hand mail to, `pipe:NAME` (Postfix's pipe(8), and Courier's and qmail's
commands for whole domains)."""

import pwd
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models

from mta.models.named_target import NamedTarget
from mta.protocol import program

# The shell that sets the limits must fit in, too.
MIN_MEMORY = 16 << 20


class Program(NamedTarget):
    """What `mta.protocol.program` makes of a message; run by the pipe transport."""

    transport = "pipe"

    argv = ArrayField(
        models.CharField(max_length=2000),
        verbose_name="arguments",
        help_text="the program by its absolute path, then its arguments; they may hold "
        + ", ".join(f"${{{name}}}" for name in program.PLACEHOLDERS),
    )
    user = models.CharField(
        max_length=64,
        default="nobody",
        verbose_name="runs as",
        help_text="an account of the system; never root",
    )
    memory = models.PositiveBigIntegerField(default=0, help_text="octets; 0 for no limit")
    cpu = models.DurationField(
        default=timedelta(0),
        validators=[MaxValueValidator(timedelta(hours=1))],
        verbose_name="processor time",
        help_text="0 for as long as it may run",
    )
    separately = models.BooleanField(
        default=True,
        verbose_name="one run for each recipient",
        help_text="else one for all recipients of a message, who then share its result",
    )
    crlf = models.BooleanField(default=False, verbose_name="CRLF line ends")
    return_path = models.BooleanField(default=True, verbose_name="add Return-Path")
    delivered_to = models.BooleanField(default=True, verbose_name="add Delivered-To")
    from_line = models.BooleanField(
        default=False, verbose_name="begin with a From_ line", help_text="as in an mbox"
    )

    class Meta(NamedTarget.Meta):
        pass

    def facts(self) -> program.Program:
        return program.Program(
            name=self.name,
            arguments=tuple(self.argv),
            user=self.user,
            timeout=self.timeout.total_seconds(),
            memory=self.memory,
            cpu=int(self.cpu.total_seconds()),
            separately=self.separately,
            crlf=self.crlf,
            return_path=self.return_path,
            delivered_to=self.delivered_to,
            from_line=self.from_line,
            enabled=self.enabled,
        )

    def clean(self) -> None:
        super().clean()
        try:
            program.check_arguments(self.argv or [])
        except ValueError as error:
            raise ValidationError({"argv": str(error)}) from error
        self._clean_user()
        if self.memory and self.memory < MIN_MEMORY:
            raise ValidationError({"memory": f"no program runs in less than {MIN_MEMORY} octets"})

    def _clean_user(self) -> None:
        self.user = self.user.strip()
        try:
            uid = pwd.getpwnam(self.user).pw_uid
        except (KeyError, ValueError) as error:
            text = f"there is no system account {self.user!r} on this host"
            raise ValidationError({"user": text}) from error
        if uid == 0:
            raise ValidationError({"user": "nothing that mail starts may run as root"})
