"""A message from a program on this host: the options of sendmail, who called, and the result.

The command `sendmail` calls it in its own process, `submitd` for whoever is at its socket.
Exit status (sysexits.h): 0 queued, 64 wrong options, 67 refused for good, 75 try again later.
"""

import pwd
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.db import DatabaseError
from django.utils import timezone

from mta import runtime
from mta.management.appliance_command import database_sentence
from mta.management.sendmail_options import Options, UsageError, parse_options
from mta.models import Settings
from mta.protocol import status
from mta.protocol.submission import Draft, SubmissionError, build

EX_OK = 0
EX_USAGE = 64
EX_NOUSER = 67
EX_TEMPFAIL = 75
EX_NOPERM = 77


@dataclass(frozen=True, slots=True)
class Caller:
    """`account` is the name of its account, `full_name` that of the person. `variables` are
    Courier's MAILUSER, MAILSUSER, MAILHOST, MAILSHOST, MAILNAME and NAME, as far as set. `uid` is
    None when nobody knows it."""

    account: str
    full_name: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    uid: int | None = None

    def reverse_path(self, hostname: str) -> str:
        user = self.variables.get("MAILSUSER") or self._user
        host = self.variables.get("MAILSHOST") or self.variables.get("MAILHOST") or hostname
        return f"{user}@{host}"

    def author(self, hostname: str) -> str:
        return f"{self._user}@{self.variables.get('MAILHOST') or hostname}"

    @property
    def name(self) -> str:
        return self.variables.get("MAILNAME") or self.variables.get("NAME") or self.full_name

    @property
    def _user(self) -> str:
        return self.variables.get("MAILUSER") or self.account


class Readable(Protocol):
    """What a message is read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What the program ends with: its exit status, and what it prints and complains about."""

    code: int
    printed: str = ""
    complaint: str = ""


def full_name_of(uid: int) -> str:
    """The person's name in the account's data; "" when there is none."""
    try:
        return pwd.getpwuid(uid).pw_gecos.partition(",")[0]
    except KeyError:
        return ""


def take(arguments: Sequence[str], caller: Caller, content: Readable) -> Result:
    """Queue what the stream holds, or say why not. Never raises for what a caller may do wrong."""
    return answered(lambda: _take(arguments, caller, content))


def _take(arguments: Sequence[str], caller: Caller, content: Readable) -> str:
    """What is to be printed. Raises what `answered` turns into a result."""
    options = parse_options(arguments)
    message = read_message(content, Settings.load().sizelimit)
    envelope, whole = build(_draft(options, caller, message))
    if options.print_only:
        return whole.replace(b"\r\n", b"\n").decode("utf-8", "replace")
    runtime.enqueue(envelope, whole, uid=caller.uid)
    return ""


def answered(work: Callable[[], str]) -> Result:
    """The result of work that gives what is to be printed, or raises UsageError, SubmissionError
    or DatabaseError."""
    try:
        return Result(EX_OK, work())
    except UsageError as error:
        return Result(EX_USAGE, complaint=str(error))
    except SubmissionError as error:
        code = EX_NOUSER if error.reply.is_permanent else EX_TEMPFAIL
        return Result(code, complaint=str(error.reply))
    except DatabaseError as error:
        return Result(EX_TEMPFAIL, complaint=database_sentence(error))


def _draft(options: Options, caller: Caller, content: bytes) -> Draft:
    hostname = runtime.hostname()
    sender = options.sender
    return Draft(
        content=content,
        hostname=hostname,
        reverse_path=caller.reverse_path(hostname) if sender is None else sender,
        author=sender or caller.author(hostname),
        at=timezone.now(),
        unique=secrets.token_hex(12),
        author_name=options.full_name or caller.name,
        recipients=options.recipients,
        bcc_only=options.bcc_only,
        notify=options.notify,
        ret=options.ret,
        envid=options.envid,
        verp=options.verp,
    )


def read_message(content: Readable, limit: int) -> bytes:
    """The whole stream, up to the size limit. Raises SubmissionError beyond it."""
    message = content.read(limit + 1)
    if len(message) > limit:
        raise SubmissionError(552, status.TOO_BIG, f"the message is larger than {limit} octets")
    return message
