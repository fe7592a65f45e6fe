"""The version of the policy, and the append-only record of its changes.

Both are written by a database trigger (migration 0002) in the transaction that changes a
policy table, so that no writer, the console, a command or psql, can forget it.
"""

from django.db import models


class PolicyState(models.Model):
    """One row: the version in force. The ingress compares it once per MAIL transaction."""

    version = models.BigIntegerField(default=1)

    class Meta:
        verbose_name = "policy version"

    def __str__(self) -> str:
        return f"version {self.version}"


class PolicyChange(models.Model):
    """One changed row: who, when, what it was and what it became. Passwords are left out.

    `actor` is what the writer put in the database setting courierweb.actor, else the
    database role.
    """

    version = models.BigIntegerField(db_index=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    table = models.CharField(max_length=63)
    operation = models.CharField(max_length=6)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.version}: {self.operation} {self.table} by {self.actor}"
