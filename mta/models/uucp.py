"""The neighbours that take mail by UUCP (Courier's uucpneighbors; spec 9.2)."""

from django.core.exceptions import ValidationError
from django.db import models

from mta.protocol.bang_path import FLAGS, is_path


class UucpNeighbor(models.Model):
    """A host, or the path to one behind it, that mail may take.

    Without a flag only the users there are reached, and the paths that have rows of their own.
    """

    path = models.CharField(
        max_length=255, unique=True, help_text="the host's node name, or a path: food!fruits"
    )
    flags = models.CharField(
        max_length=3,
        blank=True,
        default="",
        help_text="F: on from there to anywhere; G: the same, and rmail runs there; R: rmail runs "
        "there for the paths listed behind it",
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["path"]
        verbose_name = "UUCP neighbour"
        verbose_name_plural = "UUCP neighbours"

    def __str__(self) -> str:
        return self.path

    def clean(self) -> None:
        self.path = self.path.strip()
        if not is_path(self.path):
            raise ValidationError({"path": f"{self.path!r} is not NODE or NODE!NODE"})
        flags = set(self.flags.upper())
        if not flags <= set(FLAGS):
            raise ValidationError({"flags": f"{self.flags!r}: the flags are {', '.join(FLAGS)}"})
        self.flags = "".join(sorted(flags))
