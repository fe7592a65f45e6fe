"""SASL from the client's side, as SMTP uses it (RFC 4954): SCRAM-SHA-256, PLAIN, LOGIN.

An exchange is a generator of what the client says: the first item goes with AUTH (None: nothing
goes with it), each further one answers the challenge that is sent in. In the end it is sent None:
the server has said yes. An exchange that cannot trust that raises.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from mta.protocol.scram_client import Impostor, open_exchange

Exchange: TypeAlias = Generator[bytes | None, bytes | None, None]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are at a relay."""

    user: str
    password: str = field(repr=False)


def choose(offered: Mapping[str, str]) -> str:
    """The best mechanism of an EHLO reply that we know, "" when there is none."""
    words = offered.get("AUTH", "").upper().split()
    return next((name for name in _MECHANISMS if name in words), "")


def begin(mechanism: str, credentials: Credentials) -> Exchange:
    """The exchange of a mechanism that `choose` gave."""
    return _MECHANISMS[mechanism](credentials)


def _scram(credentials: Credentials) -> Exchange:
    opening = open_exchange(credentials.user, credentials.password)
    proof = opening.respond(_said((yield opening.message)))
    proof.verify(_said((yield proof.message)))
    yield b""  # The server may say yes only now.


def _plain(credentials: Credentials) -> Exchange:
    yield f"\0{credentials.user}\0{credentials.password}".encode()


def _login(credentials: Credentials) -> Exchange:
    # Not a standard; what the challenges say differs, what they mean does not.
    yield None
    yield credentials.user.encode()
    yield credentials.password.encode()


def _said(challenge: bytes | None) -> bytes:
    """In SCRAM a server that says yes before it has proved itself is none of ours."""
    if challenge is None:
        raise Impostor("the server did not prove that it knows the password")
    return challenge


# Best first: SCRAM does not tell the password to the server at all.
_MECHANISMS: dict[str, Callable[[Credentials], Exchange]] = {
    "SCRAM-SHA-256": _scram,
    "PLAIN": _plain,
    "LOGIN": _login,
}
