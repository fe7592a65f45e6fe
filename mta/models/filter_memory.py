"""What the bundled site filters remember: copies of messages, recipients of senders, mail that is
released by itself, and what other hosts said of senders. None of it is policy."""

from django.db import models


class SlewSighting(models.Model):
    """A message as the filter of that name has seen it. A side is `stopped` when copies with its
    digest were a slew: refused, or cancelled where they were queued."""

    filter = models.CharField(max_length=64)
    at = models.DateTimeField()
    message_id = models.BigIntegerField()
    top = models.BinaryField(max_length=16)
    bottom = models.BinaryField(max_length=16)
    top_stopped = models.BooleanField(default=False)
    bottom_stopped = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["filter", "message_id"], name="slew_sighting_once"),
        ]
        indexes = [
            models.Index(fields=["filter", "id"], name="slew_sighting_order"),
            models.Index(fields=["at"], name="slew_sighting_at"),
        ]

    def __str__(self) -> str:
        return f"{self.filter}: message {self.message_id}"


class SendingRate(models.Model):
    """How many recipients a sender had in one slot of a filter's window (`begins`). A slot that has
    not begun is for mail that waits."""

    filter = models.CharField(max_length=64)
    sender = models.TextField()
    begins = models.DateTimeField()
    recipients = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["filter", "sender", "begins"], name="sending_rate_once"
            ),
        ]
        indexes = [models.Index(fields=["begins"], name="sending_rate_begins")]

    def __str__(self) -> str:
        return f"{self.sender}: {self.recipients}"


class TimedRelease(models.Model):
    """A message that a filter holds until `at`. `sender` is whose mail waits, "" when the filter
    does not say."""

    message_id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    filter = models.CharField(max_length=64)
    sender = models.TextField(default="", db_default="")

    class Meta:
        indexes = [models.Index(fields=["at"], name="timed_release_at")]

    def __str__(self) -> str:
        return f"message {self.message_id} at {self.at}"


class SenderVerification(models.Model):
    """What a host of the sender's domain said; `standing` is a word of
    `mta.protocol.sender_check.Standing`."""

    key = models.TextField(primary_key=True)
    standing = models.CharField(max_length=10)
    code = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=11)
    text = models.TextField()
    host = models.TextField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="sender_verified_until")]

    def __str__(self) -> str:
        return f"{self.key}: {self.standing}"
