"""Routes: where mail for a domain goes instead of its MX (Courier's esmtproutes and
esmtpauthclient; spec 2.3, 2.14), for all senders or for one."""

import ipaddress

from django.core.exceptions import ValidationError
from django.db import models

from mta.models.appliance_key import appliance_key
from mta.models.domain import validate_domain
from mta.protocol import address
from mta.protocol.auth_client import Credentials
from mta.protocol.esmtproutes import EVERYTHING, IpVersion, Line, parse_domain, parse_relay
from mta.protocol.esmtproutes import Security as Wire
from mta.protocol.route_target import FORMS, is_target, parse_target
from mta.protocol.sealed import seal, unseal

DISCARD = "discard"
_PURPOSE = b"route password"


class Route(models.Model):
    """`domain` is a name, ".name" for its sub-domains, or "*" for all mail (the smarthost).

    `sender` narrows the route to the mail of one reverse-path, or of a domain of reverse-paths.
    Of the routes of the same sender the most specific one applies: the name itself, then the
    nearest ".parent", then "*". An empty relay means the MX, as if there were no route.
    """

    class Security(models.TextChoices):
        OPPORTUNISTIC = Wire.OPPORTUNISTIC.value, "TLS when offered"
        NONE = Wire.NONE.value, "Never TLS"
        REQUIRED = Wire.REQUIRED.value, "TLS or not at all"
        STARTTLS = Wire.STARTTLS.value, "TLS with a certificate that proves the name"
        SMTPS = Wire.SMTPS.value, "Implicit TLS"

    class IpVersion(models.TextChoices):
        ANY = IpVersion.ANY.value, "IPv4 and IPv6"
        ONLY_4 = IpVersion.ONLY_4.value, "IPv4 only"
        ONLY_6 = IpVersion.ONLY_6.value, "IPv6 only"

    domain = models.CharField(max_length=255)
    sender = models.CharField(
        max_length=320,
        blank=True,
        default="",
        help_text='only for mail of this sender: "user@example.com", "example.com" or '
        '".example.com"; empty for mail of everybody',
    )
    relay = models.CharField(
        max_length=255,
        blank=True,
        help_text=f'a host, an [address], "discard" to drop the mail, {FORMS}; empty for the MX',
    )
    port = models.PositiveIntegerField(default=25)
    security = models.CharField(max_length=10, choices=Security, blank=True, default="")
    ip_version = models.CharField(max_length=10, choices=IpVersion, blank=True, default="")
    user = models.CharField(
        max_length=255, blank=True, default="", help_text="signs in at the relay as this user"
    )
    # Sealed. The trigger leaves columns of this name out of the history of changes.
    password = models.TextField(blank=True, default="", editable=False)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["domain", "sender"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain", "sender"],
                name="one_route_per_domain_and_sender",
                violation_error_message="There is a route for this domain and sender already.",
            )
        ]

    def __str__(self) -> str:
        whose = f" from {self.sender}" if self.sender else ""
        return f"{self.domain}{whose} {self._where()}"

    def _where(self) -> str:
        if not self.relay:
            return "as its MX says"
        has_port = self.has_relay and self.relay != DISCARD
        return f"via {self.relay}:{self.port}" if has_port else f"to {self.relay}"

    @property
    def has_relay(self) -> bool:
        """Whether it is in the hands of the esmtp transport, which knows ports and security."""
        return not is_target(self.relay)

    def set_password(self, password: str) -> None:
        """Keep the password of `user`, sealed. Raises ValidationError."""
        if not password or "\0" in password or len(password) > 1000:
            raise ValidationError({"user": "this cannot be a password"})
        self.password = seal(password, appliance_key(_PURPOSE))

    def credentials(self) -> Credentials:
        """For signing in at the relay. Raises sealed.Unreadable."""
        return Credentials(self.user, unseal(self.password, appliance_key(_PURPOSE)))

    def line(self) -> Line:
        """The route as a line of esmtproutes, which knows neither senders nor users."""
        return Line(
            self.domain, self.relay, self.port, Wire(self.security), IpVersion(self.ip_version)
        )

    def clean(self) -> None:
        try:
            self.domain = parse_domain(self.domain)
        except ValueError as error:
            raise ValidationError({"domain": str(error)}) from error
        if self.domain != EVERYTHING:
            validate_domain(self.domain)
        self._clean_sender()
        self._clean_relay()
        self._clean_credentials()

    def _clean_sender(self) -> None:
        self.sender = self.sender.strip().lower()
        if not self.sender:
            return
        local, at, domain = self.sender.rpartition("@")
        wildcard = "." if not at and domain.startswith(".") else ""
        try:
            name = address.normalize_domain(domain.removeprefix(wildcard))
        except address.AddressError as error:
            raise ValidationError({"sender": f"{self.sender}: {error}"}) from error
        if at and not local:
            raise ValidationError({"sender": f"{self.sender} has nothing before the @"})
        self.sender = f"{local}{at}{wildcard}{name}"

    def _clean_relay(self) -> None:
        self.relay = self.relay.strip()
        if is_target(self.relay):
            self._clean_target()
            return
        if self.relay not in ("", DISCARD):
            try:
                self.relay, _ = parse_relay(self.relay)
            except ValueError as error:
                raise ValidationError({"relay": str(error)}) from error
        if not 0 < self.port < 65536:
            raise ValidationError({"port": f"{self.port} is not a port"})
        if not self.relay and self.security == self.Security.SMTPS:
            raise ValidationError({"security": "implicit TLS needs a relay: no MX listens for it"})

    def _clean_target(self) -> None:
        try:
            self.relay = parse_target(self.relay)
        except ValueError as error:
            raise ValidationError({"relay": str(error)}) from error
        if self.security or self.ip_version or self.user:
            raise ValidationError({"relay": "security, addresses and a user are for SMTP relays"})

    def _clean_credentials(self) -> None:
        """A password goes out under TLS that names the relay, or does not leave this machine."""
        self.user = self.user.strip()
        if not self.user:
            self.password = ""
            return
        if any(not char.isprintable() for char in self.user):
            raise ValidationError({"user": "a user name has no control characters"})
        if not self.password:
            raise ValidationError({"user": "a user needs a password"})
        if self.relay in ("", DISCARD):
            raise ValidationError({"user": "there is no relay to sign in at"})
        if self.security == self.Security.OPPORTUNISTIC:
            raise ValidationError(
                {"security": "signing in needs TLS: choose REQUIRED, STARTTLS or SMTPS"}
            )
        if self.security == self.Security.NONE and not _is_loopback(self.relay):
            raise ValidationError(
                {"security": "without TLS a password goes to a relay on loopback only"}
            )


def _is_loopback(relay: str) -> bool:
    if relay == "localhost":
        return True
    return relay.startswith("[") and ipaddress.ip_address(relay[1:-1]).is_loopback
