"""Which of the optional rules are in force. What has no row is as the code says."""

from django.db import models


class RuleState(models.Model):
    """A rule of `mta.policy.decision` by name, and whether it decides."""

    class State(models.TextChoices):
        OFF = "off", "Off"
        LOG = "log", "Log only"
        ENFORCE = "enforce", "Enforced"

    rule = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=7, choices=State)

    class Meta:
        ordering = ["rule"]

    def __str__(self) -> str:
        return f"{self.rule} {self.state}"
