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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

MAX_OUTPUT = 4095
PATH = "/usr/local/bin:/usr/bin:/bin"
SHELL = "/bin/sh"
_UMASK = 0o077
_CHUNK = 65536
# The limits are set behind the change of the user, by a text in which nothing is ever inserted.
_LIMITED = 'ulimit -c 0; ulimit -t "$1"; shift; exec "$@"'
_LIMITED_IN_MEMORY = (
    'ulimit -c 0; ulimit -t "$1"; [ "$2" = 0 ] || ulimit -v "$2"; shift 2; exec "$@"'
)


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
    return _ended(
        patience,
        printed,
        abandoned,
        args=arguments,
        stdin=stdin,
        cwd=owner.home,
        env=_environment(owner, variables),
        **_identity(owner),
    )


def run_limited(
    arguments: Sequence[str],
    owner: Account,
    variables: Mapping[str, str],
    stdin: bytes,
    patience: float,
    cpu: int = 0,
    memory: int = 0,
) -> Ended:
    """Runs a program of the administrator without a shell, for at most `patience` seconds, with so
    many seconds of processor time and octets of memory; 0 is no limit.

    Raises NotPermittedError, and OSError when it cannot be started.
    """
    # A processor that it may use for longer than it may run is no limit.
    limits = [str(cpu or int(patience) + 1), str(memory >> 10)]
    with tempfile.TemporaryFile() as message:
        message.write(stdin)
        message.seek(0)
        return run_program(
            [SHELL, "-c", _LIMITED_IN_MEMORY, SHELL, *limits, *arguments],
            _at_home(owner),
            variables,
            message,
            patience,
        )


def _at_home(owner: Account) -> Account:
    """Accounts such as nobody have a home that is not there, and a program must start somewhere."""
    return owner if Path(owner.home).is_dir() else replace(owner, home="/")


def run_tool(
    program: str, words: Sequence[str], runner: Account | None, stdin: bytes, patience: float
) -> Ended:
    """Runs a program of this host, no shell, with these words as they are.

    As `runner`, who needs no home, or as ourselves. Raises OSError when it cannot be started.
    """
    with tempfile.TemporaryFile() as message:
        message.write(stdin)
        message.seek(0)
        return _ended(
            patience,
            # What it complains about itself is read by others, whom our paths do not concern.
            args=[Path(program).name, *words],
            executable=program,
            stdin=message,
            cwd="/",
            env={"PATH": PATH, "LC_ALL": "C"},
            **(_identity(runner) if runner else {}),
        )


def _ended(
    patience: float, printed: int = 0, abandoned: int | None = None, **process: Any
) -> Ended:
    started = subprocess.Popen(
        **process,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if printed else subprocess.STDOUT,
        start_new_session=True,
        umask=_UMASK,
    )
    return _Watch(started, patience, printed, abandoned).until_the_end()


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
        self,
        process: subprocess.Popen[bytes],
        patience: float,
        printed: int,
        abandoned: int | None,
    ) -> None:
        self._process = process
        self._abandoned = abandoned
        self._end = time.monotonic() + patience
        self._printed = printed
        assert process.stdout is not None
        self._streams = [_Stream(process.stdout, printed or MAX_OUTPUT)]
        if process.stderr is not None:
            self._streams.append(_Stream(process.stderr, MAX_OUTPUT))

    def until_the_end(self) -> Ended:
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
        texts = [stream.text for stream in self._streams]
        return Ended(code if in_time else None, texts[-1], texts[0] if self._printed else b"")

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
