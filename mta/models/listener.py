"""What is particular to one listener: its limit, its demands, how strict it is with MIME."""

from django.core.validators import MinValueValidator
from django.db import models


class MimeMode(models.TextChoices):
    """What becomes of a message that breaks the rules of MIME (spec 3.5.3)."""

    REJECT = "reject", "Refuse it, naming each problem"
    WRAP = "wrap", "Deliver it attached to an explanation"
    ACCEPT = "accept", "Deliver it as it is"


class Listener(models.Model):
    """One of the doors smtp, submission and smtps. A row that is missing means the defaults."""

    class Name(models.TextChoices):
        SMTP = "smtp", "SMTP (port 25)"
        SUBMISSION = "submission", "Submission (port 587)"
        SMTPS = "smtps", "Submission under TLS (port 465)"

    name = models.CharField(max_length=10, unique=True, choices=Name)
    sizelimit = models.BigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1024)],
        help_text="largest message, octets; empty for that of the settings",
    )
    mime = models.CharField(max_length=6, choices=MimeMode, default=MimeMode.REJECT)
    tls_required = models.BooleanField(default=False, help_text="no mail in clear")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name
