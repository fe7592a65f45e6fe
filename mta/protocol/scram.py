"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: the keys a server stores, and its side of the exchange
(RFC 5802, RFC 7677). The other side is `scram_client`.

    opening = read_first(client_first)                   # what the client wants
    binding = opening.binding(bindings, plus=plus)       # is it bound to this channel as it must?
    challenge = opening.challenge(keys, binding)         # send challenge.message
    challenge.verify(client_final)                       # gives what proves us to the client

Nothing here does I/O and nothing keeps the password: who steals the stored keys cannot log in
with them, only try passwords at the price of the iterations.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mta.protocol.saslprep import SaslprepError, saslprep

# What RFC 7677 4 recommends; some 8 ms on one core.
ITERATIONS = 15_000
# Fewer must not be asked for (RFC 7677 4), and more is an attempt to keep the client busy.
MIN_ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000

KEY_SIZE = 32
SALT_SIZE = 16
MAX_MESSAGE = 4096
_MAX_NAME = 1000

# The grammar of RFC 5802 7.
NONCE = r"[\x21-\x2b\x2d-\x7e]+"
BASE64 = r"[A-Za-z0-9+/]+={0,2}"
# "m=" announces an extension that must be understood, and we know none.
EXTENSIONS = r"(?:,(?![mp]=)[A-Za-z]=[^,\x00]+)*"
_NAME = r"(?:[^,=\x00]|=2C|=3D)+"
_FIRST = re.compile(
    rf"(?P<header>(?:(?P<flag>[ny])|p=(?P<type>[A-Za-z0-9.-]+)),(?:a=(?P<authorization>{_NAME}))?,)"
    rf"(?P<bare>n=(?P<user>{_NAME}),r=(?P<nonce>{NONCE}){EXTENSIONS})"
)
_FINAL = re.compile(
    rf"(?P<unproved>c=(?P<binding>{BASE64}),r=(?P<nonce>{NONCE}){EXTENSIONS}),p=(?P<proof>{BASE64})"
)
_KEYS = re.compile(rf"SCRAM-SHA-256\$([1-9][0-9]{{0,6}}):({BASE64})\$({BASE64}):({BASE64})")


class BadMessage(ValueError):
    """The message is not what RFC 5802 7 allows in its place; the text says why."""


class BadKeys(ValueError):
    """The text is not that of stored keys."""


class Failure(StrEnum):
    """Why a well-formed message does not authenticate (RFC 5802 7, server-error-value)."""

    INVALID_PROOF = "invalid-proof"
    BINDINGS_DO_NOT_MATCH = "channel-bindings-dont-match"
    BINDING_WAS_OFFERED = "server-does-support-channel-binding"
    BINDING_NOT_SUPPORTED = "channel-binding-not-supported"
    UNSUPPORTED_BINDING_TYPE = "unsupported-channel-binding-type"
    OTHER = "other-error"


class Refused(Exception):
    """The client is not who it says, or somebody sits between us."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """What a server keeps of a password. The keys are of 32 octets each."""

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def to_text(self) -> str:
        """ "SCRAM-SHA-256$iterations:salt$stored:server", after RFC 5803, in one word of ASCII."""
        salt, stored, server = map(to_base64, (self.salt, self.stored_key, self.server_key))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def from_text(cls, text: str) -> "StoredKeys":
        """What `to_text` gave. Raises BadKeys."""
        match = _KEYS.fullmatch(text)
        if match is None:
            raise BadKeys("not SCRAM-SHA-256 keys")
        try:
            salt, stored, server = (
                base64.b64decode(part, validate=True) for part in match.groups()[1:]
            )
        except binascii.Error as error:
            raise BadKeys("the base64 is broken") from error
        if not len(stored) == len(server) == KEY_SIZE:
            raise BadKeys("the keys are not those of SHA-256")
        return cls(int(match[1]), salt, stored, server)


def derive(password: str, iterations: int = ITERATIONS, salt: bytes | None = None) -> StoredKeys:
    """The keys to store for a password, with fresh salt. Raises SaslprepError.

    Letters younger than Unicode 3.2 are taken as they are: nobody is served by a password that
    works with PLAIN only because there is an emoji in it.
    """
    if salt is None:
        salt = os.urandom(SALT_SIZE)
    salted = salted_password(password, iterations, salt)
    return StoredKeys(iterations, salt, sha256(client_key(salted)), server_key(salted))


def fake_keys(secret: bytes, user: str, iterations: int = ITERATIONS) -> StoredKeys:
    """Keys for somebody who has none, so that the exchange does not tell. No proof fits them.

    The same user must get the same salt today and tomorrow, from every process: `secret` is one
    of the whole appliance, that nobody outside knows.
    """
    name = user.lower().encode("utf-8", "surrogatepass")
    salt, stored, server = (
        sign(secret, purpose + b"\0" + name) for purpose in (b"salt", b"stored", b"server")
    )
    return StoredKeys(iterations, salt[:SALT_SIZE], stored, server)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's first message, and what it takes to judge the answer to it."""

    message: bytes
    _nonce: str
    _bound: bytes
    _bare: bytes
    _keys: StoredKeys = field(repr=False)

    def verify(self, client_final: bytes) -> bytes:
        """The server's last message, once the client has shown that it knows the password.

        Raises BadMessage or Refused.
        """
        match = matching(_FINAL, client_final)
        bound, proof = from_base64(match["binding"]), from_base64(match["proof"])
        if len(proof) != KEY_SIZE:
            raise BadMessage("the proof has the wrong size")
        # The client repeats the header of its first message together with what it sees of the
        # channel; neither can be changed on the way, since the proof covers both.
        if not hmac.compare_digest(bound, self._bound):
            raise Refused(Failure.BINDINGS_DO_NOT_MATCH)
        if not hmac.compare_digest(match["nonce"], self._nonce):
            raise Refused(Failure.OTHER)
        signed = b",".join((self._bare, self.message, match["unproved"].encode()))
        claimed = xor(proof, sign(self._keys.stored_key, signed))
        if not hmac.compare_digest(sha256(claimed), self._keys.stored_key):
            raise Refused(Failure.INVALID_PROOF)
        return b"v=" + to_base64(sign(self._keys.server_key, signed)).encode()


@dataclass(frozen=True, slots=True)
class Opening:
    """The client's first message. `authorization` is the identity asked for, "" for its own;
    `binding_type` is "" when the client does not bind, and `could_bind` says that it would have
    if we had offered to."""

    user: str
    authorization: str
    binding_type: str
    could_bind: bool
    _nonce: str
    _header: bytes
    _bare: bytes

    def binding(self, bindings: Mapping[str, bytes], *, plus: bool) -> bytes:
        """What the client must have seen of the channel, b"" without binding. Raises Refused.

        `bindings` is what was offered for this channel, by type: empty when no -PLUS mechanism
        was. `plus` says that the client chose such a mechanism (RFC 5802 6).
        """
        if not plus:
            if self.binding_type:
                raise Refused(Failure.BINDING_NOT_SUPPORTED)
            if self.could_bind and bindings:
                # Somebody took -PLUS out of the list of mechanisms that the client read.
                raise Refused(Failure.BINDING_WAS_OFFERED)
            return b""
        if not self.binding_type:
            raise Refused(Failure.OTHER)
        if self.binding_type not in bindings:
            raise Refused(Failure.UNSUPPORTED_BINDING_TYPE)
        return bindings[self.binding_type]

    def challenge(self, keys: StoredKeys, binding: bytes, nonce: str | None = None) -> Challenge:
        """The answer, with a fresh nonce of ours appended to that of the client."""
        both = self._nonce + (nonce or new_nonce())
        message = f"r={both},s={to_base64(keys.salt)},i={keys.iterations}".encode()
        return Challenge(message, both, self._header + binding, self._bare, keys)


def read_first(message: bytes) -> Opening:
    """Raises BadMessage."""
    match = matching(_FIRST, message)
    return Opening(
        user=_name(match["user"]),
        authorization=_name(match["authorization"]) if match["authorization"] else "",
        binding_type=match["type"] or "",
        could_bind=match["flag"] == "y",
        _nonce=match["nonce"],
        _header=match["header"].encode(),
        _bare=match["bare"].encode(),
    )


def _name(text: str) -> str:
    """A saslname in clear (RFC 5802 5.1); a query, so letters of any age may be in it."""
    try:
        clear = saslprep(text.replace("=2C", ",").replace("=3D", "="), allow_unassigned=True)
    except SaslprepError as error:
        raise BadMessage(str(error)) from error
    if not 0 < len(clear) <= _MAX_NAME:
        raise BadMessage("the name is empty or too long")
    return clear


# --- what both sides need -------------------------------------------------------------------------


def new_nonce() -> str:
    return secrets.token_urlsafe(24)


def salted_password(password: str, iterations: int, salt: bytes) -> bytes:
    """The slow step (RFC 5802 3). Raises SaslprepError."""
    prepared = saslprep(password, allow_unassigned=True)
    return hashlib.pbkdf2_hmac("sha256", prepared.encode(), salt, iterations)


def client_key(salted: bytes) -> bytes:
    return sign(salted, b"Client Key")


def server_key(salted: bytes) -> bytes:
    return sign(salted, b"Server Key")


def matching(pattern: re.Pattern[str], message: bytes) -> re.Match[str]:
    """The message if it is of that form. Raises BadMessage."""
    if len(message) > MAX_MESSAGE:
        raise BadMessage("the message is too long")
    try:
        match = pattern.fullmatch(message.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadMessage("the message is not UTF-8") from error
    if match is None:
        raise BadMessage("the message has the wrong form")
    return match


def to_base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def from_base64(text: str) -> bytes:
    """Raises BadMessage."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadMessage("the base64 is broken") from error


def sign(key: bytes, octets: bytes) -> bytes:
    return hmac.digest(key, octets, "sha256")


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))
