"""SASL mechanisms as exchanges (RFC 4422; in SMTP RFC 4954), which do no I/O of their own.

An exchange is a generator. It yields what it wants, is sent the answer, and returns the outcome:

    Challenge(octets)   send them as a 334; answer with what the client responds (`decode`)
    KeysWanted(user)    answer with the stored keys of that user, or `scram.fake_keys`

It raises Malformed, and nothing else, whatever the client sends. What it returns is not yet a
login: a password is to be checked, a user who was proved must be an enabled mailbox, and
`authorization` must be somebody that user may act for.
"""

import base64
import binascii
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mta.protocol import address, scram

MAX_TEXT = 1000


class Mechanism(StrEnum):
    """By the name in EHLO and AUTH, the strongest first."""

    SCRAM_SHA_256_PLUS = "SCRAM-SHA-256-PLUS"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    EXTERNAL = "EXTERNAL"
    PLAIN = "PLAIN"
    LOGIN = "LOGIN"


class Malformed(Exception):
    """The response is not what the mechanism asks for."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What a mechanism may know of the connection.

    `bindings` are those of `mta.protocol.channel_binding`, empty unless a -PLUS mechanism was
    offered. `identities` are those of the client's verified certificate.
    """

    bindings: Mapping[str, bytes] = field(default_factory=dict)
    identities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Challenge:
    """`is_last`: the client has won, and this is what comes with the success where a protocol has
    room for it there; the answer is then b""."""

    octets: bytes
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class KeysWanted:
    user: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client claims. `authorization` is the identity asked for, "" for its own."""

    user: str
    password: str = field(repr=False)
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Proved:
    """The client is that user. `authorization` is the identity asked for, "" for its own."""

    user: str
    authorization: str
    mechanism: Mechanism


@dataclass(frozen=True, slots=True)
class Refused:
    """The client has failed to prove what it claims. `reason` is for the log, not for the client;
    `user` is "" when nobody was named."""

    user: str
    mechanism: Mechanism
    reason: str


Wanted = Challenge | KeysWanted
Answer = bytes | scram.StoredKeys
Outcome = Credentials | Proved | Refused
Exchange = Generator[Wanted, Answer, Outcome]


def offered(
    *, tls: bool, in_clear_allowed: bool, channel_binding: bool, client_certificate: bool
) -> tuple[Mechanism, ...]:
    """What EHLO lists and AUTH takes on this connection, the strongest first.

    `channel_binding`: the channel has bindings. `client_certificate`: the client has shown one
    that was verified and names an e-mail address. Neither counts without TLS.
    """
    if not tls and not in_clear_allowed:
        return ()
    missing = set()
    if not (tls and channel_binding):
        missing.add(Mechanism.SCRAM_SHA_256_PLUS)
    if not (tls and client_certificate):
        missing.add(Mechanism.EXTERNAL)
    return tuple(mechanism for mechanism in Mechanism if mechanism not in missing)


def start(mechanism: Mechanism, initial: bytes | None, channel: Channel) -> Exchange:
    """The exchange of a mechanism that was offered. `initial` is the decoded response that came
    with AUTH, None when there was none."""
    match mechanism:
        case Mechanism.PLAIN:
            return _plain(initial)
        case Mechanism.LOGIN:
            return _login(initial)
        case Mechanism.EXTERNAL:
            return _external(initial, channel.identities)
        case Mechanism.SCRAM_SHA_256 | Mechanism.SCRAM_SHA_256_PLUS:
            return _scram(initial, channel.bindings, mechanism)


def _plain(initial: bytes | None) -> Exchange:
    """RFC 4616. One response: authorization NUL user NUL password."""
    response = initial if initial is not None else (yield from _ask(b""))
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise Malformed
    authorization, user, password = (_text(part) for part in parts)
    return Credentials(user, password, authorization)


def _login(initial: bytes | None) -> Exchange:
    """Two responses: user, password."""
    user = initial if initial is not None else (yield from _ask(b"Username:"))
    password = yield from _ask(b"Password:")
    return Credentials(_text(user), _text(password))


def _external(initial: bytes | None, identities: tuple[str, ...]) -> Exchange:
    """RFC 4422 appendix A. One response: the identity asked for, empty for that of the client."""
    response = initial if initial is not None else (yield from _ask(b""))
    authorization = _text(response)
    if not identities:
        return Refused("", Mechanism.EXTERNAL, "the certificate names no e-mail address")
    # Of several addresses in one certificate the client may choose by asking for one.
    for identity in identities:
        if identity.lower() == authorization.lower():
            return Proved(identity, authorization, Mechanism.EXTERNAL)
    return Proved(identities[0], authorization, Mechanism.EXTERNAL)


def _scram(initial: bytes | None, bindings: Mapping[str, bytes], mechanism: Mechanism) -> Exchange:
    """RFC 5802, RFC 7677. Client first: two rounds, and an empty response to our own proof."""
    first = initial if initial is not None else (yield from _ask(b""))
    user = ""
    try:
        opening = scram.read_first(first)
        user = opening.user
        binding = opening.binding(bindings, plus=mechanism is Mechanism.SCRAM_SHA_256_PLUS)
        challenge = opening.challenge((yield from _ask_for_keys(user)), binding)
        proof = challenge.verify((yield from _ask(challenge.message)))
    except scram.BadMessage as error:
        raise Malformed from error
    except scram.Refused as refused:
        return Refused(user, mechanism, refused.failure.value)
    # Success has no room for data in SMTP, so there it goes as one more challenge (RFC 4954 4).
    if (yield from _ask(proof, is_last=True)) != b"":
        raise Malformed
    return Proved(user, opening.authorization, mechanism)


def certificate_identities(certificate: Mapping[str, object]) -> tuple[str, ...]:
    """The e-mail addresses of a verified certificate, as `ssl` gives it (`getpeercert()`), in the
    normal form of `address.parse`.

    Those of subjectAltName; only without any, that of the subject (RFC 5280 4.1.2.6). What is
    not an address is passed over.
    """
    names = _mail_names(certificate.get("subjectAltName"), "email")
    if not names:
        parts = certificate.get("subject")
        for part in parts if isinstance(parts, tuple) else ():
            names += _mail_names(part, "emailAddress")
    return tuple(dict.fromkeys(filter(None, map(_address, names))))


def _mail_names(pairs: object, kind: str) -> list[str]:
    return [
        value
        for pair in (pairs if isinstance(pairs, tuple) else ())
        if isinstance(pair, tuple) and len(pair) == 2
        for name, value in [pair]
        if name == kind and isinstance(value, str)
    ]


def _address(text: str) -> str:
    """In normal form, "" when it is none. Nothing must hide behind a NUL."""
    if not text.isprintable():
        return ""
    try:
        return address.parse(text)
    except address.AddressError:
        return ""


def decode(line: bytes) -> bytes:
    """A base64 response; "=" is the empty one (RFC 4954 4). Raises Malformed."""
    if line == b"=":
        return b""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise Malformed from error


def encode(challenge: Challenge) -> str:
    return base64.b64encode(challenge.octets).decode("ascii")


def _ask(challenge: bytes, *, is_last: bool = False) -> Generator[Wanted, Answer, bytes]:
    answer = yield Challenge(challenge, is_last)
    if not isinstance(answer, bytes):
        raise TypeError("a challenge is answered with octets")
    return answer


def _ask_for_keys(user: str) -> Generator[Wanted, Answer, scram.StoredKeys]:
    answer = yield KeysWanted(user)
    if not isinstance(answer, scram.StoredKeys):
        raise TypeError("keys were asked for")
    return answer


def _text(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed from error
    if "\0" in text or len(text) > MAX_TEXT:
        raise Malformed
    return text
