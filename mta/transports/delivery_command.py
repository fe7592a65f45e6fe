"""Running a delivery command as the owner of a mailbox (step 6): the one place that changes users.

The command's text is its owner's own; what comes from the mail goes through the environment and
the standard input, never into a text that a shell reads. The process gets the owner's user, groups
and home, an environment that holds nothing of ours, and ends with everything it started.
"""

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

MAX_OUTPUT = 4095
PATH = "/usr/local/bin:/usr/bin:/bin"
SHELL = "/bin/sh"
_UMASK = 0o077
_CHUNK = 65536
# The limits are set behind the change of the user, by a text in which nothing is ever inserted.
_LIMITED = 'ulimit -c 0; ulimit -t "$1"; shift; exec "$@"'


class NotPermittedError(Exception):
    """We may not deliver as this user; the message says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody commands are run as."""

    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is negative for a signal, None when its time was over.

    `printed` is its standard output where that was asked for apart; `output` is then the rest.
    """

    code: int | None
    output: bytes
    printed: bytes = b""


def account(name: str) -> Account | None:
    """The system's user of that name."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def check_permitted(owner: Account) -> None:
    """Raises NotPermittedError when we may not run anything as this user."""
    if owner.uid == 0:
        raise NotPermittedError("nothing is delivered as root: it needs an alias")
    if os.geteuid() not in (0, owner.uid):
        raise NotPermittedError(f"only root may deliver as {owner.name}")


def run(
    command: str, owner: Account, variables: Mapping[str, str], stdin: bytes, patience: float
) -> Ended:
    """Runs a shell command; at most `patience` seconds, of MAX_OUTPUT octets of what it says.

    Raises NotPermittedError, and OSError when the command cannot be started.
    """
    limited = [SHELL, "-c", _LIMITED, SHELL, str(int(patience) + 1), SHELL, "-c", command]
    with tempfile.TemporaryFile() as message:
        message.write(stdin)
        message.seek(0)
        return run_program(limited, owner, variables, message, patience)


def run_program(
    arguments: Sequence[str],
    owner: Account,
    variables: Mapping[str, str],
    stdin: int | IO[bytes],
    patience: float,
    printed: int = 0,
    abandoned: int | None = None,
) -> Ended:
    """Runs a program without a shell and without limits of its own. With `printed` so many octets
    of its standard output are given apart. When the descriptor `abandoned` becomes readable, nobody
    waits for the program any more, and its time is over.

    Raises NotPermittedError, and OSError when it cannot be started.
    """
    check_permitted(owner)
    process = subprocess.Popen(
        arguments,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if printed else subprocess.STDOUT,
        cwd=owner.home,
        env=_environment(owner, variables),
        start_new_session=True,
        umask=_UMASK,
        **_identity(owner),
    )
    watch = _Watch(process, patience, abandoned)
    assert process.stdout is not None
    watch.gather(process.stdout, printed or MAX_OUTPUT)
    if process.stderr is not None:
        watch.gather(process.stderr, MAX_OUTPUT)
    code, outputs = watch.until_the_end()
    return Ended(code, outputs[-1], outputs[0] if printed else b"")


def _identity(owner: Account) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    groups = os.getgrouplist(owner.name, owner.gid)
    return {"user": owner.uid, "group": owner.gid, "extra_groups": groups}


def _environment(owner: Account, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, with those on top that say who the command runs as."""
    own = {"HOME": owner.home, "USER": owner.name, "LOGNAME": owner.name}
    return {**variables, **own, "SHELL": SHELL, "PATH": PATH}


@dataclass(slots=True)
class _Stream:
    """What a process says at one descriptor; beyond the limit it is read and dropped."""

    file: IO[bytes]
    limit: int
    text: bytes = b""

    def read(self) -> bool:
        """Reads once; False at the end."""
        chunk = os.read(self.file.fileno(), _CHUNK)
        self.text = (self.text + chunk)[: self.limit]
        return bool(chunk)


class _Watch:
    """Looks after one process; what it started is ended with it."""

    def __init__(
        self, process: subprocess.Popen[bytes], patience: float, abandoned: int | None
    ) -> None:
        self._process = process
        self._abandoned = abandoned
        self._end = time.monotonic() + patience
        self._streams: list[_Stream] = []

    def gather(self, file: IO[bytes], limit: int) -> None:
        self._streams.append(_Stream(file, limit))

    def until_the_end(self) -> tuple[int | None, list[bytes]]:
        """The exit code, and what was said at each stream."""
        try:
            in_time = self._read()
        finally:
            # It is not waited for yet, so that its number cannot be somebody else's. A program of
            # another user that it has become is not ours to kill.
            with contextlib.suppress(PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for stream in self._streams:
                stream.file.close()
            code = self._process.wait()
        return code if in_time else None, [stream.text for stream in self._streams]

    def _read(self) -> bool:
        """Gathers output until the process ends; False when its time was over before."""
        ended = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                for stream in self._streams:
                    selector.register(stream.file, selectors.EVENT_READ, stream)
                selector.register(ended, selectors.EVENT_READ)
                if self._abandoned is not None:
                    selector.register(self._abandoned, selectors.EVENT_READ)
                return self._gather(selector, ended)
        finally:
            os.close(ended)

    def _gather(self, selector: selectors.BaseSelector, ended: int) -> bool:
        while (left := self._end - time.monotonic()) > 0:
            ready = [key for key, _ in selector.select(left)]
            for stream in (key.data for key in ready if key.data is not None):
                if not stream.read():
                    selector.unregister(stream.file)
            # What it has left to read was read just now: a pipe holds no more than a chunk.
            descriptors = {key.fd for key in ready}
            if ended in descriptors:
                return True
            if self._abandoned in descriptors:
                return False
        return False
