"""Whose mail is not wanted (Courier's bofh file; spec 2.11, 2.17), and who may send as whom."""

import ipaddress
import re

from django.core.exceptions import ValidationError
from django.db import models

from mta.models.domain import validate_domain
from mta.models.mailbox import Mailbox
from mta.protocol import address

_PATTERN = re.compile(r"(?P<local>[^@]*)@(?P<dot>\.?)(?P<domain>[^@]+)\Z")


def normalize_pattern(value: str) -> str:
    """ "user@dom", "@dom", "@.dom" or "user@.dom", in lower case. Raises ValueError."""
    match = _PATTERN.match(value.strip().lower())
    if match is None:
        raise ValueError("write user@domain, @domain, @.domain or user@.domain")
    return f"{match['local']}@{match['dot']}{address.normalize_domain(match['domain'])}"


class BadSender(models.Model):
    """Mail with such a return address is refused. A dot stands for all sub-domains."""

    pattern = models.CharField(
        max_length=320, unique=True, help_text="user@domain, @domain, @.domain or user@.domain"
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["pattern"]

    def __str__(self) -> str:
        return self.pattern

    def clean(self) -> None:
        try:
            self.pattern = normalize_pattern(self.pattern)
        except ValueError as error:
            raise ValidationError({"pattern": str(error)}) from error


class FreemailDomain(models.Model):
    """Mail from this domain is taken only from hosts whose names are in it, or in a partner's."""

    domain = models.CharField(max_length=255, unique=True, validators=[validate_domain])
    partners = models.TextField(
        blank=True, help_text="further domains its hosts may be in, separated by blanks"
    )

    class Meta:
        ordering = ["domain"]

    def __str__(self) -> str:
        return self.domain

    def clean(self) -> None:
        try:
            self.domain = address.normalize_domain(self.domain.strip())
            self.partners = " ".join(map(address.normalize_domain, self.partners.split()))
        except address.AddressError as error:
            raise ValidationError(str(error)) from error


class BadMailHost(models.Model):
    """Mail from domains whose MX has such an address is refused (Courier: badmx)."""

    network = models.CharField(max_length=49, unique=True, help_text="an address or a network")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["network"]

    def __str__(self) -> str:
        return self.network

    def clean(self) -> None:
        try:
            self.network = str(ipaddress.ip_network(self.network.strip()))
        except ValueError as error:
            raise ValidationError({"network": str(error)}) from error


class SpamTrap(models.Model):
    """Whoever writes to this address has no honest list: the whole message is refused."""

    address = models.CharField(max_length=320, unique=True)

    class Meta:
        ordering = ["address"]

    def __str__(self) -> str:
        return self.address

    def clean(self) -> None:
        try:
            self.address = address.parse(self.address.strip()).lower()
        except address.AddressError as error:
            raise ValidationError({"address": str(error)}) from error


class SenderGrant(models.Model):
    """A mailbox may send as its own address and as these (`pattern` as for bad senders).

    The aliases that lead to the mailbox alone are its own as well.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="sender_grants")
    pattern = models.CharField(
        max_length=320, help_text='user@domain, @domain, @.domain, or "*" for any address'
    )

    class Meta:
        ordering = ["mailbox", "pattern"]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "pattern"], name="sender_grant"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox} as {self.pattern}"

    def clean(self) -> None:
        if self.pattern.strip() == "*":
            self.pattern = "*"
            return
        try:
            self.pattern = normalize_pattern(self.pattern)
        except ValueError as error:
            raise ValidationError({"pattern": str(error)}) from error
