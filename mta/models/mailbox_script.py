"""What the owner of a mailbox has written: Sieve scripts with their history, and sender lists."""

from django.core.validators import RegexValidator
from django.db import models

from mta.models.mailbox import Mailbox

# RFC 5804 1.6: no control characters; we allow no slash either, since names stand in addresses.
_NAME = RegexValidator(r"\A[^\x00-\x1f\x7f\x80-\x9f\u2028\u2029/]{1,128}\Z", "an unusable name")


class MailboxScript(models.Model):
    """One Sieve script of a mailbox; at most one of each moment is active.

    MESSAGE is judged at the end of DATA, where only its refusal counts, and again at delivery,
    where everything else of it is done. RECIPIENT is judged at RCPT and knows the envelope alone:
    a refusal refuses, an explicit keep takes the mail without content filters, anything else
    leaves the judgement to the content.
    """

    class Moment(models.TextChoices):
        MESSAGE = "message", "Message"
        RECIPIENT = "recipient", "Recipient"

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="scripts")
    moment = models.CharField(max_length=9, choices=Moment, default=Moment.MESSAGE)
    name = models.CharField(max_length=128, validators=[_NAME])
    text = models.TextField(blank=True)
    active = models.BooleanField(default=False)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "moment", "name"], name="script_name"),
            models.UniqueConstraint(
                fields=["mailbox", "moment"], condition=models.Q(active=True), name="script_active"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.name}"


class ScriptVersion(models.Model):
    """A script as it was saved. `saved_by` names the page, the client or the administrator."""

    script = models.ForeignKey(MailboxScript, on_delete=models.CASCADE, related_name="versions")
    text = models.TextField(blank=True)
    saved_at = models.DateTimeField(auto_now_add=True)
    saved_by = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.script} of {self.saved_at:%Y-%m-%d %H:%M}"


class SenderListing(models.Model):
    """A sender whom the owner always takes or never wants. `sender` is an address or "@domain", in
    lower case; the address counts before the domain."""

    class Word(models.TextChoices):
        ALLOW = "allow", "Allowed"
        BLOCK = "block", "Blocked"

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="sender_listings")
    sender = models.CharField(max_length=320)
    word = models.CharField(max_length=5, choices=Word)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["sender"]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "sender"], name="sender_listing"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.get_word_display()} {self.sender}"
