"""What the account transport and its child tell each other (step 6).

The child gets its `Owner`, then one `Job` after the other, each with a descriptor of the message.
It answers a job with a `Report`. Before the first step that cannot be repeated without harm it
asks for consent, once a job, and waits for it. Everything is one packet of JSON.
"""

import json
import socket
from dataclasses import asdict, dataclass
from typing import Any, Self

from mta.protocol.exit_status import Effect

# The largest is a job with the instructions of an alias, or a report with as many forwards.
MAX_PACKET = 192 << 10

_ASK = {"ask": "consent"}
_CONSENT = {"consent": True}


class BadPacket(ValueError):
    """A packet that means nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose instructions are carried out. `groups` are all that the user is in."""

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One message for one recipient of the owner.

    `address` is the recipient, `extension` what it has behind the owner's name. `instructions` are
    those of an alias; when None they are looked for in the home, in files whose names have the word
    `stem`, and `default` is for who has none there. `host` is our name. `visited` are the addresses
    in the message's Delivered-To fields. `key` names the delivery for ever, `repeated` tells that
    it was tried before. `patience` is in seconds, `at` in seconds since the epoch.
    """

    address: str
    extension: str
    reverse_path: str
    instructions: str | None
    stem: str
    default: str
    dynamic: bool
    host: str
    visited: tuple[str, ...]
    key: str
    repeated: bool
    patience: float
    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a job: `effect` is STOP when all is done, else DEFER or FAIL.

    `forwards` are addresses that are still to get the message.
    """

    effect: Effect
    status: str
    text: str
    forwards: tuple[str, ...] = ()


def packet(thing: Owner | Job | Report) -> bytes:
    """One packet. Raises BadPacket when it would be too large."""
    return _encoded(asdict(thing))


def owner_from(octets: bytes) -> Owner:
    fields = _decoded(octets)
    return Owner(**{**fields, "groups": tuple(fields["groups"])})


def job_from(octets: bytes) -> Job:
    fields = _decoded(octets)
    return Job(**{**fields, "visited": tuple(fields["visited"])})


class Conversation:
    """One end of the socket. Raises OSError; who has hung up is a ConnectionError."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def set_patience(self, seconds: float) -> None:
        self._connection.settimeout(seconds)

    def fileno(self) -> int:
        """Becomes readable when the other side has something to say, or has ended."""
        return self._connection.fileno()

    def send(self, octets: bytes, *descriptors: int) -> None:
        if descriptors:
            socket.send_fds(self._connection, [octets], descriptors)
        else:
            self._connection.sendall(octets)

    def receive(self) -> bytes:
        octets = self._connection.recv(MAX_PACKET)
        if not octets:
            raise ConnectionResetError("the other side has ended")
        return octets

    def receive_job(self) -> tuple[Job, int] | None:
        """The next job with the descriptor of its message, None when there is none."""
        octets, descriptors, _, _ = socket.recv_fds(self._connection, MAX_PACKET, 1)
        return (job_from(octets), descriptors[0]) if octets else None

    def ask_for_consent(self) -> None:
        """In the child: waits until it may go on."""
        self.send(_encoded(_ASK))
        self.receive()

    def consent(self) -> None:
        self.send(_encoded(_CONSENT))


def report_from(octets: bytes) -> Report | None:
    """A report, or None when the child asks for consent. Raises BadPacket: the child does the
    bidding of others, so what it says is looked at."""
    fields = _decoded(octets)
    if fields == _ASK:
        return None
    forwards = fields.get("forwards")
    texts = (fields.get("status"), fields.get("text"))
    if not isinstance(forwards, list) or not all(isinstance(each, str) for each in forwards):
        raise BadPacket("a report without forwards")
    if not all(isinstance(each, str) for each in texts):
        raise BadPacket("a report without a text")
    try:
        effect = Effect(str(fields.get("effect")))
    except ValueError as error:
        raise BadPacket("a report without an effect") from error
    return Report(effect, fields["status"], fields["text"], tuple(forwards))


def _encoded(fields: dict[str, Any]) -> bytes:
    octets = json.dumps(fields).encode("ascii")
    if len(octets) > MAX_PACKET:
        raise BadPacket("more is to be said than a packet holds")
    return octets


def _decoded(octets: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(octets)
    except ValueError as error:
        raise BadPacket("a packet that is no JSON") from error
    if not isinstance(fields, dict):
        raise BadPacket("a packet that is no object")
    return fields
