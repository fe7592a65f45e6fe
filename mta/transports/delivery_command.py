"""Running a delivery command as the owner of a mailbox (step 6): the one place that changes users.

The command's text is its owner's own; what comes from the mail goes through the environment and
the standard input, never into a text that a shell reads. The process gets the owner's user, groups
and home, an environment that holds nothing of ours, and ends with everything it started.
"""

import os
import pwd
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_OUTPUT = 4095
_UMASK = 0o077
_PATH = "/usr/local/bin:/usr/bin:/bin"
_SHELL = "/bin/sh"
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
    """How a command ended. `code` is negative for a signal, None when its time was over."""

    code: int | None
    output: bytes


def account(name: str) -> Account | None:
    """The system's user of that name."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def run(
    command: str, owner: Account, variables: Mapping[str, str], stdin: bytes, patience: float
) -> Ended:
    """Runs a shell command; at most `patience` seconds, of MAX_OUTPUT octets of what it says.

    Raises NotPermittedError, and OSError when the command cannot be started.
    """
    _check_permitted(owner)
    with tempfile.TemporaryFile() as message:
        message.write(stdin)
        message.seek(0)
        process = subprocess.Popen(
            [_SHELL, "-c", _LIMITED, _SHELL, str(int(patience) + 1), _SHELL, "-c", command],
            stdin=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=owner.home,
            env=_environment(owner, variables),
            start_new_session=True,
            umask=_UMASK,
            **_identity(owner),
        )
    return _Watch(process, patience).until_the_end()


def run_program(
    program: str, words: Sequence[str], runner: Account | None, stdin: bytes, patience: float
) -> Ended:
    """Runs a program of this host, no shell, with these words as they are; limits as for `run`.

    As `runner`, who needs no home, or as ourselves. Raises OSError when it cannot be started.
    """
    with tempfile.TemporaryFile() as message:
        message.write(stdin)
        message.seek(0)
        process = subprocess.Popen(
            # What it complains about itself is read by others, whom our paths do not concern.
            [Path(program).name, *words],
            executable=program,
            stdin=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C"},
            start_new_session=True,
            umask=_UMASK,
            **(_identity(runner) if runner else {}),
        )
    return _Watch(process, patience).until_the_end()


def _check_permitted(owner: Account) -> None:
    if owner.uid == 0:
        raise NotPermittedError("nothing is delivered as root: it needs an alias")
    if os.geteuid() not in (0, owner.uid):
        raise NotPermittedError(f"only root may deliver as {owner.name}")


def _identity(owner: Account) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    groups = os.getgrouplist(owner.name, owner.gid)
    return {"user": owner.uid, "group": owner.gid, "extra_groups": groups}


def _environment(owner: Account, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, with those on top that say who the command runs as."""
    own = {"HOME": owner.home, "USER": owner.name, "LOGNAME": owner.name}
    return {**variables, **own, "SHELL": _SHELL, "PATH": _PATH}


class _Watch:
    """Looks after one process; what it started is ended with it."""

    def __init__(self, process: subprocess.Popen[bytes], patience: float) -> None:
        self._process = process
        self._end = time.monotonic() + patience
        self._output = b""

    def until_the_end(self) -> Ended:
        try:
            in_time = self._read()
        finally:
            # It is not waited for yet, so that its number cannot be somebody else's.
            os.killpg(self._process.pid, signal.SIGKILL)
            assert self._process.stdout is not None
            self._process.stdout.close()
            code = self._process.wait()
        return Ended(code if in_time else None, self._output)

    def _read(self) -> bool:
        """Gathers output until the process ends; False when its time was over before."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        ended = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(output, selectors.EVENT_READ)
                selector.register(ended, selectors.EVENT_READ)
                return self._gather(selector, output, ended)
        finally:
            os.close(ended)

    def _gather(self, selector: selectors.BaseSelector, output: int, ended: int) -> bool:
        while (left := self._end - time.monotonic()) > 0:
            ready = {key.fd for key, _ in selector.select(left)}
            if output in ready:
                chunk = os.read(output, 65536)
                self._output = (self._output + chunk)[:MAX_OUTPUT]
                if not chunk:
                    selector.unregister(output)
            elif ended in ready:
                return True
        return False
