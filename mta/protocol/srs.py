"""The Sender Rewriting Scheme: a return path of ours for mail that we forward.

Whoever gets forwarded mail asks the SPF record of its return path's domain, which does not name
us. So the original one travels inside of an address of ours, and a bounce to that finds back:

    ann@a.example, forwarded by b.example  ->  SRS0=HASH=TT=a.example=ann@b.example
    that, forwarded by c.example           ->  SRS1=HASH=b.example==HASH=TT=a.example=ann@c.example

There is no RFC; this is the form of the paper of 2003 and of the software that followed it. HASH
binds the rest to a secret of this installation, so that nobody makes such addresses but us: they
lead out, and anybody's could be used to relay. TT is the day, so that one that was seen somewhere
is of use for a few weeks only. Both are in base 32, because some hosts change the case of a local
part; all that is hashed is hashed in lower case for the same reason.

Days are counted from the epoch. Addresses are in memory form (`mta.protocol.address`).
"""

import base64
import hashlib
import hmac
import re

from mta.protocol import address as addresses

# A bounce comes within a queue's lifetime, five days; hosts that keep mail longer are rare.
MAX_AGE = 21
# Six characters of base 32 are 30 bits.
HASH_LENGTH = 6

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PERIOD = 32 * 32
_TAGGED = re.compile(r"SRS([01])[=+-]", re.IGNORECASE)
_SRS0 = re.compile(r"SRS0[=+-]([^=]+)=([^=]{2})=([^=]+)=(.+)\Z", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"SRS1[=+-]([^=]+)=([^=]+)=([=+-].+)\Z", re.IGNORECASE | re.DOTALL)


class SrsError(ValueError):
    """The address is none that we made, or is too old; the message says which."""


def day_of(seconds: float) -> int:
    """The day of a time in seconds since the epoch."""
    return int(seconds // 86400)


def is_srs(address: str) -> bool:
    """Whether the local part has the form of a rewritten one, ours or not."""
    return _TAGGED.match(address) is not None


def forward(reverse_path: str, domain: str, secret: bytes, day: int) -> str:
    """The return path for mail from `reverse_path` that is forwarded by an address of `domain`.

    It stays as it is where the local part would be longer than a host must take (RFC 5321
    4.5.3.1.1): a bounce that may be lost is worse than an SPF record that does not fit.
    """
    local, origin = addresses.split(reverse_path)
    rewritten = f"{_again(local, origin, secret) or _first(local, origin, secret, day)}@{domain}"
    try:
        return addresses.parse(addresses.wire(rewritten))
    except addresses.AddressError:
        return reverse_path


def reverse(address: str, secret: bytes, day: int) -> str:
    """The address that a bounce to one of ours is for. Raises SrsError."""
    local = addresses.split(address)[0]
    if match := _SRS0.match(local):
        given, stamp, domain, user = match.groups()
        _check(given, secret, "0", stamp, domain, user)
        if not _is_fresh(stamp, day):
            raise SrsError("the return path has expired")
        original = f"{user}@{domain}"
    elif match := _SRS1.match(local):
        given, domain, rest = match.groups()
        _check(given, secret, "1", domain, rest)
        original = f"SRS0{rest}@{domain}"
    else:
        raise SrsError("the return path is malformed")
    try:
        return addresses.parse(addresses.wire(original))
    except addresses.AddressError as error:
        raise SrsError("the return path is malformed") from error


def _first(local: str, origin: str, secret: bytes, day: int) -> str:
    stamp = _stamp(day)
    return f"SRS0={_hash(secret, '0', stamp, origin, local)}={stamp}={origin}={local}"


def _again(local: str, origin: str, secret: bytes) -> str:
    """A rewritten one goes on as SRS1, which stays as long as it is however often it is forwarded:
    bounces go to whoever rewrote it first. "" for any other."""
    tag = _TAGGED.match(local)
    if tag is None:
        return ""
    if tag[1] == "0":
        rest = local[len("SRS0") :]
    else:
        match = _SRS1.match(local)
        if match is None:
            return ""
        _, origin, rest = match.groups()
    return f"SRS1={_hash(secret, '1', origin, rest)}={origin}={rest}"


def _check(given: str, secret: bytes, *parts: str) -> None:
    expected = _hash(secret, *parts).lower().encode()
    if not hmac.compare_digest(given.lower().encode("utf-8", "surrogateescape"), expected):
        raise SrsError("the return path is not one that we made")


def _hash(secret: bytes, *parts: str) -> str:
    text = "\0".join(parts).lower().encode("utf-8", "surrogateescape")
    return base64.b32encode(hmac.digest(secret, text, hashlib.sha256))[:HASH_LENGTH].decode()


def _stamp(day: int) -> str:
    high, low = divmod(day % _PERIOD, 32)
    return _BASE32[high] + _BASE32[low]


def _is_fresh(stamp: str, day: int) -> bool:
    """Not older than MAX_AGE, nor from the future by more than the clocks of two hosts differ."""
    high, low = (_BASE32.find(char) for char in stamp.upper())
    if high < 0 or low < 0:
        return False
    age = (day - (high * 32 + low)) % _PERIOD
    return age <= MAX_AGE or age == _PERIOD - 1
