"""The queue: messages, their content, their recipients, and the leases on these.

Ids of messages are made by the process that accepts them (`mta.queue.commit`), so that a batch
of messages with their recipients goes in by COPY without a question back.
"""

from django.db import models
from django.db.models import Q

from mta.protocol.queue_id import encode_queue_id


class State(models.TextChoices):
    """Where a recipient is in its life."""

    QUEUED = "queued", "Queued"
    DELIVERING = "delivering", "Delivering"
    HELD = "held", "Held"
    DELIVERED = "delivered", "Delivered"
    RELAYED = "relayed", "Relayed"
    EXPANDED = "expanded", "Expanded"
    DISCARDED = "discarded", "Discarded"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"


LIVE_STATES = (State.QUEUED, State.DELIVERING, State.HELD)


class Message(models.Model):
    """One accepted message. `pending` counts its recipients that are not finished.

    `client`, `helo`, `auth_user` and `source` say where it came from; `origin` is unique when
    set, so that a repeated task cannot send a report twice.
    """

    id = models.BigIntegerField(primary_key=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    pending = models.IntegerField()
    reverse_path = models.TextField()
    source = models.CharField(max_length=10)
    auth_user = models.TextField()
    client_ip = models.TextField()
    helo = models.TextField()
    ret = models.CharField(max_length=4)
    envid = models.TextField()
    smtputf8 = models.BooleanField()
    eight_bit = models.BooleanField()
    verp = models.BooleanField(db_default=False)
    requiretls = models.BooleanField(db_default=False)
    size = models.BigIntegerField()
    header_message_id = models.TextField()
    subject = models.TextField()
    origin = models.TextField(null=True)
    policy_version = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], name="message_created"),
            models.Index(
                fields=["finished_at"],
                name="message_finished",
                condition=Q(finished_at__isnull=False),
            ),
            models.Index(fields=["reverse_path", "created_at"], name="message_sender"),
            models.Index(
                fields=["auth_user", "created_at"],
                name="message_auth_user",
                condition=~Q(auth_user=""),
            ),
            models.Index(
                fields=["header_message_id"],
                name="message_header_id",
                condition=~Q(header_message_id=""),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["origin"], name="message_origin", condition=Q(origin__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.queue_id

    @property
    def queue_id(self) -> str:
        return encode_queue_id(self.id)


class Content(models.Model):
    """The octets of a message as stored, CRLF line ends, apart from the hot queue rows."""

    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, primary_key=True, db_constraint=False
    )
    data = models.BinaryField()


class Lease(models.Model):
    """A worker's claim on a batch of recipients until `expires_at`; it is renewed while alive."""

    transport = models.CharField(max_length=20)
    nexthop = models.TextField()
    owner = models.TextField()
    acquired_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["transport", "nexthop"], name="lease_destination")]


class Recipient(models.Model):
    """One recipient of one message: what the scheduler claims and a transport delivers.

    `next_attempt` is due time; `warn_at` is null once the delay was reported or never will be;
    `report` names a DSN that is due ("failed", "delayed", "delivered", "relayed"). `return_path`
    is what another host is told instead of the message's reverse-path, "" for that (SRS).
    `pinned`: its transport and next hop were chosen by hand (or are the backup relay), not by its
    address.
    """

    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False)
    address = models.TextField()
    original_recipient = models.TextField()
    return_path = models.TextField(default="", db_default="")
    notify = models.CharField(max_length=30)
    state = models.CharField(max_length=10, choices=State)
    transport = models.CharField(max_length=20)
    nexthop = models.TextField()
    pinned = models.BooleanField(default=False, db_default=False)
    attempts = models.IntegerField(default=0)
    next_attempt = models.DateTimeField()
    expires_at = models.DateTimeField()
    warn_at = models.DateTimeField(null=True)
    lease = models.ForeignKey(
        Lease, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    last_reply = models.TextField(default="")
    last_remote = models.TextField(default="")
    last_command = models.TextField(default="")
    report = models.CharField(max_length=10, default="")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["message"], name="recipient_message"),
            models.Index(
                fields=["transport", "nexthop", "next_attempt"],
                name="recipient_due",
                condition=Q(state="queued"),
            ),
            models.Index(
                fields=["lease"], name="recipient_lease", condition=Q(lease__isnull=False)
            ),
            models.Index(
                fields=["next_attempt"],
                name="recipient_live",
                condition=Q(state__in=["queued", "delivering", "held"]),
            ),
            models.Index(fields=["message"], name="recipient_report", condition=~Q(report="")),
            models.Index(fields=["address"], name="recipient_address"),
        ]

    def __str__(self) -> str:
        return f"{self.address} ({self.state})"
