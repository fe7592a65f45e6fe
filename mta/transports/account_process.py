"""The account transport's side of its child (step 6): started, given jobs, ended.

A worker has threads, so the child is a program of its own and no fork of ours: it drops root's
rights itself, after it has read our code, which its owner may not be able to read.
"""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from mta.transports.account_job import Conversation, Job, Owner, Report, packet, report_from

_ROOT = Path(__file__).parents[2]
_CHILD = "mta.transports.account_child"
# What a child may need besides the time of its commands: for locks, disks, and its start.
_GRACE = 90.0
_ENDS_WITHIN = 5.0


class ChildFailed(Exception):
    """A child that gave no report; the message says why."""


class Child:
    """Give it to `with`. A child that failed is replaced by a new one for the next job."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self._conversation: Conversation | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def carry_out(self, job: Job, message: int, consent: Callable[[], None]) -> Report:
        """The child's report; `consent` is called when it asks. Raises ChildFailed, and what
        `consent` raises: the child then does nothing."""
        try:
            conversation = self._conversation or self._start()
            conversation.set_patience(job.patience + _GRACE)
            conversation.send(packet(job), message)
            while (report := report_from(conversation.receive())) is None:
                consent()
                conversation.consent()
        except TimeoutError as error:
            self._end()
            raise ChildFailed("the delivery takes too long") from error
        except (OSError, ValueError) as error:
            self._end()
            raise ChildFailed(f"the delivery ended without a report: {error}") from error
        except BaseException:
            self._end()
            raise
        return report

    def _start(self) -> Conversation:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._conversation = Conversation(ours)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 << 10)
            self._process = subprocess.Popen(
                [sys.executable, "-E", "-s", "-m", _CHILD, str(theirs.fileno())],
                cwd=_ROOT,
                env={"LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._conversation.send(packet(self._owner))
        return self._conversation

    def _end(self) -> None:
        """It has nothing to do, or nothing that would still count: it sees that nobody is there,
        and ends with what it has started."""
        if self._conversation is not None:
            with self._conversation:
                self._conversation = None
        if self._process is not None:
            try:
                self._process.wait(_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def sealed_message(text: bytes) -> int:
    """A descriptor of the text in memory, which nobody who gets it can change."""
    descriptor = os.memfd_create("message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(text)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
