"""SASL PLAIN and LOGIN (RFC 4616; RFC 4954), as an exchange of challenges and responses."""

import base64
import binascii
from collections.abc import Generator
from dataclasses import dataclass


class Malformed(Exception):
    """The response is not what the mechanism asks for."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client claims. `authorization` is the identity asked for, "" for its own."""

    user: str
    password: str
    authorization: str = ""


# Yields challenges, is sent responses, returns the credentials.
Exchange = Generator[bytes, bytes, Credentials]


def plain(initial: bytes | None) -> Exchange:
    """One response: authorization NUL user NUL password."""
    response = initial if initial is not None else (yield b"")
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise Malformed
    authorization, user, password = (_text(part) for part in parts)
    return Credentials(user, password, authorization)


def login(initial: bytes | None) -> Exchange:
    """Two responses: user, password."""
    user = initial if initial is not None else (yield b"Username:")
    password = yield b"Password:"
    return Credentials(_text(user), _text(password))


MECHANISMS = {"PLAIN": plain, "LOGIN": login}


def decode(line: bytes) -> bytes:
    """A base64 response; "=" is the empty one (RFC 4954 4). Raises Malformed."""
    if line == b"=":
        return b""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise Malformed from error


def encode(challenge: bytes) -> str:
    return base64.b64encode(challenge).decode("ascii")


def _text(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed from error
    if "\0" in text or len(text) > 1000:
        raise Malformed
    return text
