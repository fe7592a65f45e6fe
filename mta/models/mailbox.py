"""Virtual mailboxes: an address, a password and a Maildir."""

import re

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from mta.models.domain import Domain
from mta.protocol import scram
from mta.protocol.saslprep import SaslprepError

# The local part becomes a directory name: no separator, no leading dot, nothing to quote.
_SAFE_LOCAL_PART = re.compile(r"[^\x00-\x20\x7f/\\\"<>@.][^\x00-\x20\x7f/\\\"<>@]*\Z")


def validate_local_part(value: str) -> None:
    if not _SAFE_LOCAL_PART.match(value) or len(value.encode()) > 64:
        raise ValidationError(
            "a mailbox name is at most 64 octets, without blanks, slashes, quotes, brackets "
            "or a leading dot"
        )


class Mailbox(models.Model):
    """A mailbox in a hosted domain. Its Maildir is mail/DOMAIN/LOCALPART/Maildir.

    `password` is a Django password hash, "" when nobody may sign in, and `scram` what SCRAM needs
    to know of the same password. `quota` and the size limits are in octets, 0 for none.
    """

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="mailboxes")
    local_part = models.CharField(max_length=64, validators=[validate_local_part])
    password = models.CharField(max_length=255, blank=True, editable=False)
    scram = models.CharField(max_length=255, blank=True, editable=False)
    quota = models.BigIntegerField(default=0, help_text="octets; 0 means no limit")
    sizelimit = models.BigIntegerField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="largest message it takes, octets; 0 means the server's limit",
    )
    submission_sizelimit = models.BigIntegerField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="largest message its user may send, octets; 0 means the server's limit",
    )
    enabled = models.BooleanField(default=True, help_text="off: new mail is refused 5.2.1")
    own_filter = models.BooleanField(
        default=False,
        help_text="it may have programs of its own that judge mail: rcptfilter and smtpfilter",
    )
    name = models.CharField(max_length=200, blank=True, help_text="the person or role")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["domain__name", "local_part"]
        verbose_name_plural = "mailboxes"
        constraints = [
            models.UniqueConstraint(fields=["domain", "local_part"], name="mailbox_address"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def address(self) -> str:
        return f"{self.local_part}@{self.domain.name}"

    def clean(self) -> None:
        self.local_part = self.local_part.lower()
        if self.quota < 0:
            raise ValidationError({"quota": "a quota cannot be negative"})
        if self.domain_id and self.domain.kind != Domain.Kind.HOSTED:
            raise ValidationError({"domain": "mailboxes live in hosted domains only"})

    def set_password(self, password: str) -> None:
        """Both forms of it; "" for nobody may sign in. Raises ValidationError."""
        if not password:
            self.password = self.scram = ""
            return
        try:
            self.scram = scram.derive(password).to_text()
        except SaslprepError as error:
            raise ValidationError(f"this cannot be a password: {error}") from error
        self.password = make_password(password)
