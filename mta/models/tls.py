"""TLS with other hosts: what became of it, and the MTA-STS policies of their domains."""

from django.db import models


class TlsTally(models.Model):
    """How often TLS with a host went one way on one day (UTC), in the words of RFC 8460.

    `domain` is whom the mail was for (the relay's host with a route); `mx_host` is "" for what
    concerns the domain as a whole. `detail` is that of the last time.
    """

    day = models.DateField()
    domain = models.CharField(max_length=255)
    mx_host = models.CharField(max_length=255)
    policy = models.CharField(max_length=20)
    word = models.CharField(max_length=40)
    count = models.BigIntegerField()
    detail = models.TextField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["domain", "day", "mx_host", "policy", "word"], name="tls_tally_once"
            ),
        ]
        indexes = [models.Index(fields=["last_at"], name="tls_tally_last")]
        verbose_name_plural = "TLS tallies"

    def __str__(self) -> str:
        return f"{self.domain} {self.word}"


class StsPolicy(models.Model):
    """The MTA-STS policy of a domain as it was fetched; a cache that may be emptied at any time.

    `policy` is the file, "" when none was ever had. `failure` is what was wrong at the last try,
    in the form "word: detail", and `tried_at` when that was.
    """

    domain = models.CharField(max_length=255, primary_key=True)
    record_id = models.CharField(max_length=32)
    policy = models.TextField()
    fetched_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    tried_at = models.DateTimeField()
    failure = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="sts_policy_expires")]
        verbose_name = "MTA-STS policy"
        verbose_name_plural = "MTA-STS policies"

    def __str__(self) -> str:
        return self.domain
