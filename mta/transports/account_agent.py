"""What a command of an account is told of the message, and how delivery agents are started.

Step 6, in the child. maildrop and procmail, named without anything that only a shell understands,
are started without one, on the message itself. Facts: spec 3.8, S17.
"""

import os
import re
import shutil
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mta.protocol import maildirsize, mbox
from mta.protocol.address import split, wire
from mta.protocol.instructions import InstructionError, Kind, parse
from mta.protocol.local_account import extension_variables
from mta.transports.account_job import Job
from mta.transports.delivery_command import PATH, SHELL, Account

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Words that mean to a shell what they mean to us.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./ \t-]+")
_MAILDROP, _PROCMAIL = "maildrop", "procmail"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A job as the lines and variables of one delivery; `default` is what a "-default" in the name
    of the instruction file stands for."""

    job: Job
    default: str

    @property
    def delivered_to(self) -> str:
        return f"Delivered-To: {_clean(wire(self.job.address))}"

    @property
    def return_path(self) -> str:
        return f"Return-Path: <{self.sender}>"

    @property
    def sender(self) -> str:
        return _clean(wire(self.job.reverse_path))

    def lines(self) -> bytes:
        """What goes before the message in a mailbox."""
        return f"{self.delivered_to}\n{self.return_path}\n".encode("utf-8", "surrogateescape")

    def variables(self, owner: Account) -> dict[str, str]:
        """The environment of a command; who it runs as is not in it."""
        local, host = split(self.job.address)
        variables = {
            "SENDER": self.sender,
            "RECIPIENT": self.job.address,
            "LOCAL": local,
            "HOST": host,
            "DTLINE": self.delivered_to,
            "RPLINE": self.return_path,
            "UFLINE": mbox.from_line(self.sender, self.job.at),
            **extension_variables(self.job.extension, self.default),
        }
        mailbox = _default_mailbox(self.job)
        if mailbox:
            variables["MAILDROPDEFAULT"] = mailbox
            if quota := _own_quota(owner, mailbox):
                variables["MAILDIRQUOTA"] = quota
        return {name: _clean(value) for name, value in variables.items()}


def program(
    command: str, message: int, surroundings: Surroundings
) -> tuple[list[str], AbstractContextManager[IO[bytes]]]:
    """(arguments, standard input) of a command. The shell reads the owner's text and no other."""
    own = closing(os.fdopen(os.dup(message), "rb"))
    words = command.split() if _PLAIN.fullmatch(command) else []
    agent = Path(words[0]).name if words else ""
    path = shutil.which(words[0], path=PATH) if agent in (_MAILDROP, _PROCMAIL) else None
    if path is None:
        return [SHELL, "-c", command], own
    if len(words) > 1:
        return [path, *words[1:]], own
    if agent == _PROCMAIL:
        # It takes no header lines but those of the message.
        return [path, "-f", surroundings.sender or "MAILER-DAEMON"], _with_lines(
            message, surroundings
        )
    lines = ["-A", surroundings.delivered_to, "-A", surroundings.return_path]
    return [path, "-f", surroundings.sender, *lines], own


def _with_lines(message: int, surroundings: Surroundings) -> AbstractContextManager[IO[bytes]]:
    """The message with the lines of this delivery before it; copied by the kernel."""
    copy = os.fdopen(os.memfd_create("message", os.MFD_CLOEXEC), "r+b")
    copy.write(surroundings.lines())
    copy.flush()
    left, offset = os.fstat(message).st_size, 0
    while left > 0:
        sent = os.sendfile(copy.fileno(), message, offset, left)
        offset, left = offset + sent, left - sent
    return closing(copy)


def _own_quota(owner: Account, mailbox: str) -> str:
    """What the account's default Maildir says of its quota, "" for none."""
    try:
        return maildirsize.own_quota(str(Path(owner.home, mailbox))).text
    except OSError:
        return ""


def _default_mailbox(job: Job) -> str:
    """Where the account's mail goes by default, for agents that know no other place."""
    try:
        steps = parse(job.default, job.host)
    except InstructionError:
        return ""
    return next((step.text for step in steps if step.kind is Kind.MAILBOX), "")


def _clean(text: str) -> str:
    """Addresses hold no control characters; where one did, no line and no variable gets broken."""
    return _CONTROL.sub(" ", text)
