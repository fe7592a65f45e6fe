"""What happened: attempts, events, refusals, and the counts behind the charts."""

from django.db import models

from mta.models.message import Message, Recipient


class Attempt(models.Model):
    """One try at one recipient. `result` is a value of `Attempt.Result`.

    A row that is still `started` when its lease runs out becomes *uncertain*: the peer may
    have the message.
    """

    class Result(models.TextChoices):
        STARTED = "started", "Started"
        SENT = "sent", "Sent"
        DEFERRED = "deferred", "Deferred"
        BOUNCED = "bounced", "Bounced"
        UNCERTAIN = "uncertain", "Uncertain"
        INTERRUPTED = "interrupted", "Interrupted"

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, db_constraint=False, db_index=False
    )
    recipient = models.ForeignKey(
        Recipient, on_delete=models.CASCADE, db_constraint=False, db_index=False
    )
    number = models.IntegerField()
    transport = models.CharField(max_length=20)
    nexthop = models.TextField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=11, choices=Result)
    reply = models.TextField(default="")
    remote = models.TextField(default="")
    tls = models.TextField(default="")
    command = models.TextField(default="")
    next_attempt = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["message"], name="attempt_message")]


class Event(models.Model):
    """One thing that happened to a message, or to one of its recipients, in order of `id`.

    `data` is JSON whose shape belongs to the kind (see `mta.queue.history`).
    """

    at = models.DateTimeField()
    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, db_constraint=False, db_index=False
    )
    recipient = models.ForeignKey(
        Recipient, null=True, on_delete=models.CASCADE, db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=20)
    data = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["message"], name="event_message")]


class Refusal(models.Model):
    """Mail, or a client, that was turned away in the session, with the rule that did it.

    `trace` is the list of steps of the decision; `session` what was known of the client. A rule
    that only logs leaves a row that is not `enforced`. `message_id` is set when other recipients
    of the same message took it. `content_id` is that of the RefusedContent, while it is kept;
    `accepted_*` tell which administrator took the mail after all, when, and as which message.
    """

    at = models.DateTimeField()
    stage = models.CharField(max_length=10)
    client_ip = models.TextField()
    helo = models.TextField()
    auth_user = models.TextField()
    reverse_path = models.TextField(null=True)
    recipient = models.TextField()
    code = models.IntegerField()
    status = models.CharField(max_length=11)
    text = models.TextField()
    rule = models.CharField(max_length=100)
    policy_version = models.BigIntegerField()
    enforced = models.BooleanField(db_default=True)
    message_id = models.BigIntegerField(null=True)
    trace = models.JSONField()
    session = models.JSONField()
    content_id = models.BigIntegerField(null=True)
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.TextField(db_default="")
    accepted_as = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="refusal_at"),
            models.Index(fields=["recipient", "at"], name="refusal_recipient"),
            models.Index(fields=["rule", "at"], name="refusal_rule"),
            models.Index(fields=["client_ip", "at"], name="refusal_client"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.text}"


class RefusedContent(models.Model):
    """A message that was refused at the end of DATA, kept for a while so that an administrator may
    take it after all. Recipients who refused it one by one share it.

    `envelope` is JSON (`mta.queue.refused_content`); `size` is in octets.
    """

    id = models.BigIntegerField(primary_key=True)
    expires_at = models.DateTimeField()
    size = models.BigIntegerField()
    envelope = models.JSONField()
    content = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="refused_content_expires")]


class Tally(models.Model):
    """A count not yet rolled up: one row per batch and kind, so that no two commits contend."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=20)
    count = models.BigIntegerField()


class Statistic(models.Model):
    """Counts per minute; the charts and the counters of /metrics read these."""

    minute = models.DateTimeField()
    kind = models.CharField(max_length=20)
    count = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["minute", "kind"], name="statistic_minute_kind"),
        ]
