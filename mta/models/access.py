"""Access rules by network prefix (Courier's smtpaccess; spec section 2.15)."""

import ipaddress

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from mta.models.listener import MimeMode
from mta.models.settings import CheckHelo


def normalize_prefix(value: str) -> str:
    """A network in canonical CIDR form. A lone address is a /32 or /128. Raises ValueError.

    An IPv4-mapped IPv6 network is refused: it would never match, since such a client is
    looked up by its IPv4 address.
    """
    network = ipaddress.ip_network(value.strip(), strict=True)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("write an IPv4-mapped network as IPv4")
    return str(network)


class AccessRule(models.Model):
    """What a client network may do. The longest matching prefix alone applies, never a merge.

    A switch or limit that is null leaves the word to the listener and the settings.
    """

    class Action(models.TextChoices):
        ALLOW = "allow", "Allow"
        BLOCK = "block", "Block (every recipient is refused, users may sign in)"
        DENY = "deny", "Deny (no session)"

    prefix = models.CharField(max_length=49, unique=True)
    action = models.CharField(max_length=5, choices=Action, default=Action.ALLOW)
    relay = models.BooleanField(
        default=False, help_text="clients of this network may send to foreign domains"
    )
    text = models.CharField(
        max_length=200, blank=True, help_text="what a blocked or denied client reads"
    )
    proxy = models.BooleanField(
        default=False,
        help_text="a load balancer: its connections begin with a PROXY protocol header",
    )
    auth_required = models.BooleanField(null=True, blank=True, help_text="only users may send")
    tls_required = models.BooleanField(null=True, blank=True, help_text="no mail in clear")
    checkdns = models.BooleanField(null=True, blank=True, help_text="look up the sender's domain")
    checkhelo = models.PositiveSmallIntegerField(null=True, blank=True, choices=CheckHelo)
    spf = models.BooleanField(null=True, blank=True, help_text="ask SPF")
    dnslists = models.BooleanField(null=True, blank=True, help_text="ask the DNS lists")
    tarpit = models.BooleanField(null=True, blank=True, help_text="answer errors slowly")
    exdata = models.BooleanField(
        null=True,
        blank=True,
        help_text="tell each recipient's verdict after DATA (558) unasked: a Courier server",
    )
    sizelimit = models.BigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1024)],
        help_text="largest message, octets",
    )
    maxperip = models.PositiveIntegerField(
        null=True, blank=True, help_text="connections of one address; 0 for no limit"
    )
    mime = models.CharField(max_length=6, blank=True, choices=MimeMode)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["prefix"]

    def __str__(self) -> str:
        return f"{self.prefix} {self.action}{' relay' if self.relay else ''}"

    @property
    def is_wide_relay(self) -> bool:
        """Whether this grants relaying to more than a /8 (IPv6: a /32)."""
        if not self.relay:
            return False
        network = ipaddress.ip_network(self.prefix)
        return network.prefixlen < (8 if network.version == 4 else 32)

    def clean(self) -> None:
        try:
            self.prefix = normalize_prefix(self.prefix)
        except ValueError as error:
            raise ValidationError({"prefix": str(error)}) from error
        if self.relay and self.action != self.Action.ALLOW:
            raise ValidationError({"relay": "a network that is not allowed cannot relay"})
