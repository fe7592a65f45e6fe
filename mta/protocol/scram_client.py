"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the client's side (RFC 5802, RFC 7677).

opening = open_exchange("bob@example.test", password)    # send opening.message
proof = opening.respond(server_first)                    # send proof.message
proof.verify(server_final)                               # the server knew the password too
"""

import hmac
import re
from dataclasses import dataclass, field

from mta.protocol import scram
from mta.protocol.saslprep import saslprep

_SERVER_FIRST = re.compile(
    rf"r=(?P<nonce>{scram.NONCE}),s=(?P<salt>{scram.BASE64}),i=(?P<iterations>[1-9][0-9]{{0,6}})"
    rf"{scram.EXTENSIONS}"
)
_SERVER_FINAL = re.compile(rf"v=(?P<verifier>{scram.BASE64}){scram.EXTENSIONS}")


class Impostor(Exception):
    """The server does not know the password, or is not the one we spoke to."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What ties the exchange to the channel: a type of RFC 5929 or RFC 9266, and its data."""

    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """The client's last message."""

    message: bytes
    _verifier: bytes = field(repr=False)

    def verify(self, server_final: bytes) -> None:
        """Raises BadMessage, or Impostor when the server must not be trusted."""
        match = scram.matching(_SERVER_FINAL, server_final)
        if not hmac.compare_digest(scram.from_base64(match["verifier"]), self._verifier):
            raise Impostor("the server does not know the password")


@dataclass(frozen=True, slots=True)
class Opening:
    """The client's first message."""

    message: bytes
    _header: bytes
    _bare: bytes
    _nonce: str
    _binding: bytes
    _password: str = field(repr=False)

    def respond(self, server_first: bytes) -> Proof:
        """Raises BadMessage or Impostor."""
        match = scram.matching(_SERVER_FIRST, server_first)
        nonce, iterations = match["nonce"], int(match["iterations"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise Impostor("the server answers somebody else")
        if not scram.MIN_ITERATIONS <= iterations <= scram.MAX_ITERATIONS:
            raise Impostor(f"the server asks for {iterations} iterations")
        bound = scram.to_base64(self._header + self._binding)
        unproved = f"c={bound},r={nonce}".encode()
        signed = b",".join((self._bare, server_first, unproved))
        salt = scram.from_base64(match["salt"])
        salted = scram.salted_password(self._password, iterations, salt)
        key = scram.client_key(salted)
        proof = scram.xor(key, scram.sign(scram.sha256(key), signed))
        return Proof(
            unproved + b",p=" + scram.to_base64(proof).encode(),
            scram.sign(scram.server_key(salted), signed),
        )


def open_exchange(
    user: str,
    password: str,
    *,
    authorization: str = "",
    binding: Binding | None = None,
    could_bind: bool = False,
    nonce: str | None = None,
) -> Opening:
    """Begin. With `binding` for a -PLUS mechanism; `could_bind` when we know how to bind but the
    server does not offer it, so that it can notice if it did (RFC 5802 6). Raises SaslprepError.
    """
    if binding is not None:
        flag = f"p={binding.type}"
    else:
        flag = "y" if could_bind else "n"
    asked = f"a={_saslname(authorization)}" if authorization else ""
    nonce = nonce or scram.new_nonce()
    header = f"{flag},{asked},".encode()
    bare = f"n={_saslname(user)},r={nonce}".encode()
    data = binding.data if binding else b""
    return Opening(header + bare, header, bare, nonce, data, password)


def _saslname(text: str) -> str:
    prepared = saslprep(text, allow_unassigned=True)
    return prepared.replace("=", "=3D").replace(",", "=2C")
