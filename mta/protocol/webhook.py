"""A web server that mail is delivered to: its address, what it may be, and our signature; pure,
for step 6.

A receiver checks a request so: take `t` and `v1` from the header X-CourierWeb-Signature
("t=1700000000,v1=HEX"), compute HMAC-SHA256 over the text of `t`, a dot and the body with the
shared secret, compare, and refuse what is older than some minutes.
"""

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

from mta.protocol import address

MAX_URL = 500
_PORTS = {"https": 443, "http": 80}
# Translated addresses stand for an IPv4 address (RFC 6052 2.1).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddress(ValueError):
    """Mail must not be sent to this address; the message says why."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """What an administrator says of a webhook. `timeout` is for a whole request, in seconds;
    `sizelimit` in octets, 0 for none.

    `json` is the form: one JSON object, else the message itself. `private` says that it may be
    on this machine or in a private network.
    """

    name: str
    url: str
    secret: str = field(repr=False)
    json: bool = False
    timeout: float = 30.0
    sizelimit: int = 0
    private: bool = False
    enabled: bool = True

    @property
    def endpoint(self) -> "Endpoint":
        return parse_url(self.url)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address taken apart. `host` is a name or an IP address without brackets; `target` is
    what a request asks for; `authority` is how the Host field names it."""

    secure: bool
    host: str
    port: int
    target: str
    authority: str


def parse_url(text: str) -> Endpoint:
    """Raises ValueError with a sentence."""
    if (
        len(text) > MAX_URL
        or not text.isascii()
        or any(char <= " " or char == "\x7f" for char in text)
    ):
        raise ValueError(f"an address has at most {MAX_URL} characters of ASCII, and no blanks")
    parts = urlsplit(text)
    if parts.scheme not in _PORTS:
        raise ValueError("an address begins with https:// (or, in a private network, http://)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user or password cannot stand in an address: it would be shown")
    if parts.fragment:
        raise ValueError("a fragment (#...) is not sent to a server")
    host, port = _place(parts)
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(parts.scheme == "https", host, port, target, authority)


def _place(parts: SplitResult) -> tuple[str, int]:
    host = parts.hostname or ""
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    if is_ip(host):
        return str(ipaddress.ip_address(host)), port
    try:
        return address.normalize_domain(host), port
    except address.AddressError as error:
        raise ValueError(f"{host or 'the host'}: {error}") from error


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_address(webhook: Webhook, found: str) -> None:
    """Whether mail may be posted to this IP address of its host. Raises ForbiddenAddress.

    Without `private` only the public Internet is allowed, so that a name in the DNS of somebody
    else cannot make us talk to our own network, or to a cloud's metadata service. Mail goes in
    clear only where it does not leave the house.
    """
    ip = _meant(ipaddress.ip_address(found))
    if ip.is_multicast or ip.is_unspecified:
        raise ForbiddenAddress(f"{found} is nobody's address")
    public = ip.is_global and not ip.is_reserved
    if not public and not webhook.private:
        raise ForbiddenAddress(f"{found} is in a private network, which this webhook may not use")
    if public and not webhook.endpoint.secure:
        raise ForbiddenAddress(
            f"{found} is not in a private network: without TLS nothing goes there"
        )


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, else itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def signature(secret: str, body: bytes, at: int) -> str:
    """The value of the signature's header; `at` is in seconds since the epoch."""
    signed = hmac.new(secret.encode(), f"{at}.".encode(), sha256)
    signed.update(body)
    return f"t={at},v1={signed.hexdigest()}"


def idempotency_key(queue_id: str, recipient_ids: Iterable[int]) -> str:
    """The same for each attempt of the same recipients of a message, and of a bounded length."""
    ids = ",".join(map(str, sorted(recipient_ids)))
    return f"{queue_id}-{sha256(ids.encode()).hexdigest()[:32]}"
