"""What the scripts of mailboxes have done, and what has to be remembered for them."""

from django.db import models

from mta.models.mailbox import Mailbox


class RuleHit(models.Model):
    """A rule that did something with a message. `message_id` is that of the queue, whose history
    may be gone already; `recipient_id` and `line` tell a repeated delivery from another one."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="rule_hits")
    rule = models.CharField(max_length=200)
    message_id = models.BigIntegerField()
    recipient = models.TextField()
    recipient_id = models.BigIntegerField()
    line = models.IntegerField()
    what = models.TextField()
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["mailbox", "at"], name="rule_hit_mailbox"),
            models.Index(fields=["at"], name="rule_hit_at"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["recipient_id", "line", "what"], name="rule_hit_once"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.rule}"


class VacationReply(models.Model):
    """Somebody who has had an answer; the next one for that handle is due at `until`."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="vacation_replies")
    sender = models.TextField()
    handle = models.CharField(max_length=64)
    replied_at = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["until"], name="vacation_until")]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "sender", "handle"], name="vacation_once"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.sender}"


class SeenKey(models.Model):
    """A key of `duplicate` (RFC 7352), as a digest; `recipient_id` is the delivery that left it,
    which does not see itself when it is repeated."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="seen_keys")
    key = models.CharField(max_length=64)
    recipient_id = models.BigIntegerField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="seen_key_expiry")]
        constraints = [models.UniqueConstraint(fields=["mailbox", "key"], name="seen_key_once")]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.key[:8]}"


class ForwardConfirmation(models.Model):
    """An address elsewhere to which an owner wants mail forwarded. Who reads that address is asked,
    by a mail with a token of which only a digest is kept; `confirmed_at` is when they agreed."""

    mailbox = models.ForeignKey(
        Mailbox, on_delete=models.CASCADE, related_name="forward_confirmations"
    )
    address = models.CharField(max_length=320)
    token_hash = models.CharField(max_length=64, unique=True)
    asked_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["address"]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "address"], name="forward_confirmation"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.address}"
