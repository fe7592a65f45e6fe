"""Postfix's load tool smtp-source: the installed one, or one from an unpacked .deb."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "postfix"
MESSAGE_OCTETS = 4096
LONGEST = 900.0


class NoLoadTool(Exception):
    """There is no smtp-source to be had; the message says why."""


@dataclass(frozen=True)
class SmtpSource:
    """The program, and where its libraries lie when it is not installed."""

    program: Path
    libraries: Path | None = None

    def send(self, port: int, connections: int, messages: int, to: str) -> float:
        """Send so many messages over so many kept-alive connections. Returns the seconds.

        Raises RuntimeError when the server refuses a message or hangs.
        """
        command: list[str | Path] = [self.program, "-d", "-l", str(MESSAGE_OCTETS)]
        command += ["-m", str(messages), "-s", str(connections)]
        command += ["-f", "bench@elsewhere.example", "-t", to, f"127.0.0.1:{port}"]
        begin = time.monotonic()
        try:
            result = subprocess.run(
                command, env=self._environment(), capture_output=True, text=True, timeout=LONGEST
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"smtp-source is not done after {LONGEST:.0f} s") from error
        if result.returncode:
            raise RuntimeError(f"smtp-source: {result.stderr.strip()}")
        return time.monotonic() - begin

    @property
    def postfix_libraries(self) -> Path:
        """Where the rest of Postfix lies; its daemons are in sbin/ below."""
        return self.libraries or Path("/usr/lib/postfix")

    def check(self) -> None:
        """Raises NoLoadTool when it does not run on this machine."""
        result = subprocess.run(
            [self.program], env=self._environment(), capture_output=True, text=True
        )
        if "usage:" not in result.stderr:
            raise NoLoadTool(f"{self.program} does not run here: {result.stderr.strip()}")

    def _environment(self) -> dict[str, str]:
        own = {} if self.libraries is None else {"LD_LIBRARY_PATH": str(self.libraries)}
        return {**os.environ, **own}


def find(cache: Path) -> SmtpSource:
    """The installed tool, or the one unpacked in `cache` (fetched first). Raises NoLoadTool."""
    installed = shutil.which("smtp-source", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if installed:
        return SmtpSource(Path(installed))
    place = cache / PACKAGE
    tool = SmtpSource(place / "usr/sbin/smtp-source", place / "usr/lib/postfix")
    if not tool.program.exists():
        _unpack(cache, place)
    tool.check()
    return tool


def _unpack(cache: Path, place: Path) -> None:
    """Download the package and unpack it; nothing is installed into the system."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise NoLoadTool(
            "smtp-source is not installed, and without apt-get and dpkg-deb it cannot be fetched; "
            "install your system's package of Postfix"
        )
    cache.mkdir(parents=True, exist_ok=True)
    result = _run(["apt-get", "download", PACKAGE], cache)
    if result.returncode and os.geteuid() == 0:
        _run(["apt-get", "update", "-q"], cache)
        result = _run(["apt-get", "download", PACKAGE], cache)
    archives = sorted(cache.glob(f"{PACKAGE}_*.deb"))
    if result.returncode or not archives:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoLoadTool(f"apt-get cannot download the package {PACKAGE}: {reason}")
    unfinished = place.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    result = _run(["dpkg-deb", "-x", archives[-1].name, unfinished.name], cache)
    if result.returncode:
        raise NoLoadTool(f"{archives[-1]} cannot be unpacked: {result.stderr.strip()}")
    unfinished.rename(place)


def _run(command: list[str], directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)
