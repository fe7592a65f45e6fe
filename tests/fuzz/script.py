"""What one fuzzed session does: a door, and steps to take there one after another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Send:
    """Octets as they stand, with so many commands among them. Nothing is awaited."""

    octets: bytes
    commands: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One command that must be answered, its CRLF included. If the answer wants more (the content
    after 354, a response after 334, a handshake after STARTTLS), it gets it."""

    octets: bytes
    content: bytes = b"Subject: x\r\n\r\nx\r\n"


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Nothing more will be said; answers are still read."""


@dataclass(frozen=True, slots=True)
class Abort:
    """The connection is reset."""


Step = Send | Ask | Pause | HalfClose | Abort


@dataclass(frozen=True, slots=True)
class Script:
    """A session. `door` is smtp, submission or smtps; smtps with a handshake first unless
    `in_clear`. `kind` names what was meant by it."""

    kind: str
    steps: tuple[Step, ...]
    door: str = "smtp"
    in_clear: bool = False
