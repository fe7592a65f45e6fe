"""The wording of delivery reports where an administrator has replaced ours (spec 5.2)."""

from django.core.exceptions import ValidationError
from django.db import models

from mta.protocol import dsn_text


class ReportText(models.Model):
    """One text of `mta.protocol.dsn_text.TEXTS`, with its placeholders in braces."""

    name = models.CharField(
        max_length=40,
        unique=True,
        choices=[(text.name, text.title) for text in dsn_text.TEXTS.values()],
    )
    text = models.TextField(max_length=4000)

    class Meta:
        ordering = ["name"]
        verbose_name = "report text"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        self.text = "\n".join(line.rstrip() for line in self.text.splitlines()).strip()
        if self.name not in dsn_text.TEXTS:
            raise ValidationError(
                {"name": f"there is no such text; there are {', '.join(dsn_text.TEXTS)}"}
            )
        problem = dsn_text.TEXTS[self.name].problem(self.text)
        if problem:
            raise ValidationError({"text": problem})
