"""What a script asks its caller to do, in order (RFC 5228 section 4 and the extensions).

The evaluator carries nothing out. `line` is the line of the command, 0 for the implicit keep.
`flags` are IMAP flags (RFC 5232) in the spelling of the script.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keep:
    flags: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Discard:
    line: int = 0


@dataclass(frozen=True, slots=True)
class FileInto:
    """`folder` has "/" between levels; `create` makes it when it is missing (RFC 5490)."""

    folder: str
    flags: tuple[str, ...] = ()
    create: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True)
class Redirect:
    address: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """`in_session` is ereject's: refuse in the session, and never by a message (RFC 5429)."""

    text: str
    in_session: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True)
class Vacation:
    """RFC 5230; `seconds` between two replies to one sender (RFC 6131). "" for what was not said.

    `mime` says that `text` is a MIME entity.
    """

    text: str
    seconds: int
    subject: str = ""
    sender: str = ""
    addresses: tuple[str, ...] = ()
    handle: str = ""
    mime: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True)
class Notify:
    """By mail (RFC 5435, 5436): `address` and the headers of its mailto URI."""

    address: str
    text: str
    subject: str = ""
    sender: str = ""
    importance: str = "2"
    line: int = 0


Action = Keep | Discard | FileInto | Redirect | Reject | Vacation | Notify
