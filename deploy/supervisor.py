"""Keeps the parts of the appliance running, and ends them in order.

One thread, no signal handlers: the signals of interest are blocked and taken by sigtimedwait()
in one place, _turn(), so that nothing happens between two lines of code. Every part is the leader
of a process group of its own; a Ctrl-C in the terminal therefore reaches the supervisor only, and
what a dead part leaves behind can be swept as a group.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deploy import account, logs
from deploy.account import Account
from deploy.console import CannotStart, say

# Seconds before a part is started again, by how often it has died lately.
BACKOFF = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
# A part that has been up for so many seconds has no past.
FORGIVEN_AFTER = 30.0

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class StopRequested(Exception):
    """Somebody pressed Ctrl-C, or sent SIGTERM or SIGHUP."""


@dataclass(frozen=True)
class Part:
    """A program that is to be running.

    Parts stop stage by stage, lowest first. `stop_by` is in seconds from the beginning of the
    stop: what of the part is left then is killed. `death_signal` is what the kernel sends when
    the supervisor itself is killed.
    """

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    log: Path
    stage: int = 1
    stop_by: float = 7.0
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    account: Account = field(default_factory=account.current)
    directory: Path | None = None


@dataclass
class _Child:
    """What has become of a part."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_at: float = 0.0


class Supervisor:
    """Start parts, wait for things to happen while watching them, stop them.

    To be used as a context manager in the main thread: leaving it stops everything.
    """

    def __init__(self) -> None:
        self._children: list[_Child] = []
        self._pid = os.getpid()
        self._stop_signals = {signal.SIGTERM, signal.SIGINT}
        # nohup has said that a closed terminal is not to matter.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._stop_signals.add(signal.SIGHUP)
        self._mask: set[int] = set()

    def __enter__(self) -> "Supervisor":
        signals = {signal.SIGCHLD, *self._stop_signals}
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, signals))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        # A second Ctrl-C that came meanwhile is answered by having stopped.
        while signal.sigtimedwait({signal.SIGCHLD, *self._stop_signals}, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def start(self, part: Part) -> None:
        child = _Child(part)
        self._children.append(child)
        self._launch(child)

    def run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> int:
        """Run a program to its end, its output on the console. Returns its exit status.

        Raises StopRequested, the program being ended first.
        """
        process = self._spawn(command, environment, account.current(), signal.SIGKILL)
        try:
            self.wait_until(lambda: process.poll() is not None)
        except StopRequested:
            _signal_group(process.pid, signal.SIGTERM)
            self._drain(lambda: process.poll() is not None, time.monotonic() + 3)
            _signal_group(process.pid, signal.SIGKILL)
            raise
        return process.wait()

    def wait_until(
        self, condition: Callable[[], bool], seconds: float = float("inf"), interval: float = 0.05
    ) -> bool:
        """Watch the parts until the condition holds (True) or the time is over (False).

        Raises StopRequested.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self._turn(interval)
        return True

    def watch(self) -> None:
        """Keep the parts running for ever. Raises StopRequested."""
        next_trim = 0.0
        while True:
            if time.monotonic() >= next_trim:
                logs.trim({child.part.log for child in self._children})
                next_trim = time.monotonic() + 60
            self._turn(60)

    def deaths(self, name: str) -> int:
        """How often the part of that name has died lately."""
        return sum(child.deaths for child in self._children if child.part.name == name)

    def stop(self) -> None:
        """End all parts, stage by stage; what outlives its time is killed."""
        begin = time.monotonic()
        for stage in sorted({child.part.stage for child in self._children}):
            group = [c for c in self._children if c.part.stage == stage and c.process]
            for child in group:
                assert child.process is not None
                _signal_process(child.process.pid, child.part.stop_signal)
            self._stop_stage(group, begin)
        self._children.clear()

    def _stop_stage(self, group: list[_Child], begin: float) -> None:
        for child in sorted(group, key=lambda c: c.part.stop_by):
            process = child.process
            assert process is not None
            ended = partial(_has_ended, process)
            if not self._drain(ended, begin + child.part.stop_by):
                say(f"{child.part.name} does not stop; killing it")
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
            child.process = None

    def _drain(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait for a condition that the end of children brings about, whatever else is asked."""
        while not condition():
            if time.monotonic() >= deadline:
                return False
            signal.sigtimedwait({signal.SIGCHLD}, 0.05)
        return True

    def _turn(self, seconds: float) -> None:
        """Wait for a signal, at most so long; see to parts that died or are due."""
        now = time.monotonic()
        due = [c.start_at - now for c in self._children if c.process is None]
        info = signal.sigtimedwait(
            {signal.SIGCHLD, *self._stop_signals}, max(0.0, min([seconds, *due]))
        )
        if info and info.si_signo in self._stop_signals:
            raise StopRequested(signal.Signals(info.si_signo).name)
        for child in self._children:
            if child.process is not None and _has_ended(child.process):
                self._bury(child)
            if child.process is None and child.start_at <= time.monotonic():
                self._launch(child)

    def _launch(self, child: _Child) -> None:
        part = child.part
        with logs.opened(part.log) as log:
            child.process = self._spawn(
                part.command,
                part.environment,
                part.account,
                part.death_signal,
                log.fileno(),
                part.directory,
            )
        child.started_at = time.monotonic()

    def _bury(self, child: _Child) -> None:
        """Take note of a part's death, end what it left behind, and plan its next start."""
        assert child.process is not None
        _signal_group(child.process.pid, signal.SIGKILL)
        status = child.process.wait()
        if time.monotonic() - child.started_at >= FORGIVEN_AFTER:
            child.deaths = 0
        delay = BACKOFF[min(child.deaths, len(BACKOFF) - 1)]
        child.deaths += 1
        child.process = None
        child.start_at = time.monotonic() + delay
        when = f"in {delay:g} s" if delay else "at once"
        say(f"{child.part.name} ended ({_describe(status)}); starting it again {when}")

    def _spawn(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        account: Account,
        death_signal: signal.Signals,
        output: int | None = None,
        directory: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        def prepare() -> None:
            # The kernel forgets the death signal when the user changes, so this comes after it.
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != self._pid:
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, set())

        try:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                cwd=directory,
                process_group=0,
                preexec_fn=prepare,
                user=None if account.is_current else account.uid,
                group=None if account.is_current else account.gid,
                extra_groups=None if account.is_current else [],
            )
        except OSError as error:
            raise CannotStart(f"cannot run {command[0]}: {error}") from error


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended; it is left unreaped, so its group's number stays taken."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_process(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _describe(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
