"""A program that mail is piped to: what it is given, and as what; pure, for step 6.

Its arguments may hold placeholders, as those of Postfix's pipe(8) do: ``${sender}``,
``${recipient}``, ``${user}``, ``${mailbox}``, ``${extension}``, ``${domain}``, ``${queue_id}`` and
``${size}``; ``$${`` stands for ``${``. A value becomes a part of one argument and is read by no
shell. An argument with a placeholder of the recipient is there once for each recipient.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta.protocol import address, mbox

# What the null reverse-path is called: an empty word would make an option swallow the next one.
NULL_SENDER = "MAILER-DAEMON"
MAX_ARGUMENTS = 100

_OF_RECIPIENT = frozenset({"recipient", "user", "mailbox", "extension", "domain"})
_OF_MESSAGE = frozenset({"sender", "queue_id", "size"})
PLACEHOLDERS = tuple(sorted(_OF_RECIPIENT | _OF_MESSAGE))

_PLACEHOLDER = re.compile(r"\$(\$?)\{([^{}]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EXTENSION = "+"


class UnsafeArgument(ValueError):
    """What the mail says would not do as an argument; the message says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """What an administrator says of a program. Times are in seconds, `memory` is in octets, 0 for
    no limit.

    `separately` is a run for each recipient, else one for all. The message gets LF line ends
    unless `crlf`; what is put before it is `from_line`, `return_path` and `delivered_to`.
    """

    name: str
    arguments: tuple[str, ...]
    user: str = "nobody"
    timeout: float = 300.0
    memory: int = 0
    cpu: int = 0
    separately: bool = True
    crlf: bool = False
    return_path: bool = True
    delivered_to: bool = True
    from_line: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the placeholders of one run stand for; `at` is in seconds since the epoch."""

    sender: str
    recipients: tuple[str, ...]
    queue_id: str
    size: int
    at: float


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises ValueError with a sentence when no program can be run by these."""
    if not arguments or not arguments[0].startswith("/"):
        raise ValueError("the first argument is the program, by its absolute path")
    if len(arguments) > MAX_ARGUMENTS:
        raise ValueError(f"these are more than {MAX_ARGUMENTS} arguments")
    if any("\0" in argument for argument in arguments):
        raise ValueError("an argument cannot hold a NUL")
    for place, argument in enumerate(arguments):
        names = _names(argument)
        unknown = [name for name in names if name not in PLACEHOLDERS]
        if unknown:
            raise ValueError(f"${{{unknown[0]}}} is not one of {', '.join(PLACEHOLDERS)}")
        if names and place == 0:
            raise ValueError("which program is run cannot depend on the mail")


def arguments_for(program: Program, envelope: Envelope) -> list[str]:
    """The arguments of one run. Raises UnsafeArgument."""
    common = {
        "sender": address.wire(envelope.sender) or NULL_SENDER,
        "queue_id": envelope.queue_id,
        "size": str(envelope.size),
    }
    each = [common | _values(recipient) for recipient in envelope.recipients]
    return [word for argument in program.arguments for word in _filled(argument, common, each)]


def content_for(program: Program, envelope: Envelope, content: bytes) -> bytes:
    """The message as the program reads it; `content` has CRLF line ends."""
    head = []
    if program.from_line:
        head.append(mbox.from_line(envelope.sender, envelope.at))
    if program.return_path:
        head.append(f"Return-Path: <{address.wire(envelope.sender)}>")
    if program.delivered_to:
        head += [f"Delivered-To: {address.wire(recipient)}" for recipient in envelope.recipients]
    end = "\r\n" if program.crlf else "\n"
    text = "".join(f"{_CONTROL.sub(' ', line)}{end}" for line in head)
    body = content if program.crlf else content.replace(b"\r\n", b"\n")
    return text.encode("utf-8", "surrogateescape") + body


def _names(argument: str) -> list[str]:
    return [name for escaped, name in _PLACEHOLDER.findall(argument) if not escaped]


def _values(recipient: str) -> dict[str, str]:
    mailbox, domain = address.split(recipient)
    user, _, extension = mailbox.partition(_EXTENSION)
    # A name cannot be an extension of nobody.
    if not user:
        user, extension = mailbox, ""
    return {
        "recipient": address.wire(recipient),
        "user": user,
        "mailbox": mailbox,
        "extension": extension,
        "domain": domain,
    }


def _filled(
    argument: str, common: Mapping[str, str], each: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    names = _names(argument)
    for values in each if _OF_RECIPIENT.intersection(names) else (common,):
        word = _fill(argument, values)
        if names:
            _check_safe(word, argument)
        yield word


def _fill(argument: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(
        lambda match: match[0][1:] if match[1] else values[match[2]],
        argument,
    )


def _check_safe(word: str, argument: str) -> None:
    """An option is what the administrator wrote, never what the mail says."""
    if word.startswith("-") and not argument.startswith("-"):
        raise UnsafeArgument(f"{word!r} would be taken for an option")
    if _CONTROL.search(word):
        raise UnsafeArgument(f"{word!r} has control characters")
