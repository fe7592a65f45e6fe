"""Routes: where mail for a domain goes instead of its MX (Courier's esmtproutes; 2.14)."""

import ipaddress
import re

from django.core.exceptions import ValidationError
from django.db import models

from mta.models.domain import validate_domain
from mta.protocol import address

DISCARD = "discard"


def parse_relay(text: str) -> tuple[str, int]:
    """ "host", "host:port", "[ip]" or "[ip]:port" as (host, port), 0 for the default port.

    Raises ValueError with a sentence.
    """
    text = text.strip()
    match = re.match(r"(\[[^\]]+\]|[^:\s]+)(?::(\d{1,5}))?\Z", text)
    if match is None:
        raise ValueError(f"{text!r} is not HOST[:PORT] (an IP address stands in brackets)")
    host, port = match.group(1), int(match.group(2) or 0)
    if match.group(2) and not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    if host.startswith("["):
        inner = host[1:-1].removeprefix("IPv6:")
        return f"[{ipaddress.ip_address(inner)}]", port
    try:
        return f"[{ipaddress.IPv4Address(host)}]", port
    except ValueError:
        pass
    try:
        return address.normalize_domain(host), port
    except address.AddressError as error:
        raise ValueError(f"{host}: {error}") from error


class Route(models.Model):
    """`domain` is a name, ".name" for its sub-domains, or "*" for all mail (the smarthost).

    The most specific route applies: the name itself, then the nearest ".parent", then "*".
    """

    class Security(models.TextChoices):
        OPPORTUNISTIC = "", "TLS when offered"
        REQUIRED = "REQUIRED", "TLS or not at all"
        SMTPS = "SMTPS", "Implicit TLS"

    domain = models.CharField(max_length=255, unique=True)
    relay = models.CharField(
        max_length=255, help_text='a host, an [address], or "discard" to drop the mail'
    )
    port = models.PositiveIntegerField(default=25)
    security = models.CharField(max_length=10, choices=Security, blank=True, default="")
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["domain"]

    def __str__(self) -> str:
        return f"{self.domain} via {self.relay}:{self.port}"

    def clean(self) -> None:
        self.domain = self.domain.strip().lower()
        if self.domain != "*":
            validate_domain(self.domain)
            wildcard = "." if self.domain.startswith(".") else ""
            self.domain = wildcard + address.normalize_domain(self.domain.removeprefix("."))
        if self.relay != DISCARD:
            try:
                self.relay, _ = parse_relay(self.relay)
            except ValueError as error:
                raise ValidationError({"relay": str(error)}) from error
        if not 0 < self.port < 65536:
            raise ValidationError({"port": f"{self.port} is not a port"})
