"""A root directory of its own for a peer: an unpacked tree, a few accounts, devices and a log.

A peer finds all its files where it was compiled to look for them, and its accounts whether the
machine has them or not, and the machine stays as it is.
"""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.peers import guard
from tests.peers.packages import NoPeer
from tests.support.appliance import ROOT

REMOVED_WITHIN = 60.0
DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9)}
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}


@dataclass(frozen=True)
class Account:
    """A user with a group of the same number. The numbers mean something in this root only."""

    name: str
    number: int
    home: str = "/nonexistent"


class Root:
    """Give it to `with`: whatever still runs in it at the end is killed, and it is removed."""

    def __init__(self, tree: Path, accounts: Sequence[Account]) -> None:
        if os.geteuid() != 0:
            raise NoPeer("a peer runs in a root directory of its own, which only root can give it")
        self.path = Path(tempfile.mkdtemp(prefix=f"{tree.name}-", dir=tree.parent)).resolve()
        self._tree = tree
        self._accounts = {account.name: account for account in accounts}
        self._syslog = _Syslog(self.path / "dev/log")
        self._children: list[subprocess.Popen[bytes]] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "tests.peers.guard", self.path],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            self._furnish()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        finally:
            self._remove()

    # --- files ----------------------------------------------------------------------------------

    def file(self, path: str) -> Path:
        """Where a file of the peer lies for us."""
        return self.path / path.lstrip("/")

    def write(self, path: str, text: str | bytes, mode: int = 0o644, owner: str = "root") -> None:
        file = self.file(path)
        self.directory(str(Path(path).parent))
        # The tree's own file may be one with that of other roots.
        file.unlink(missing_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        self._own(file, mode, owner)

    def directory(self, path: str, mode: int = 0o755, owner: str = "root") -> None:
        """Make it with its parents, or give the one that is there another owner."""
        place = self.file(path)
        if not place.is_dir() or owner != "root":
            for missing in [p for p in (*reversed(place.parents), place) if not p.is_dir()]:
                missing.mkdir()
                missing.chmod(0o755)
            self._own(place, mode, owner)

    def _own(self, path: Path, mode: int, owner: str) -> None:
        number = 0 if owner == "root" else self._accounts[owner].number
        os.chown(path, number, number)
        path.chmod(mode)

    # --- programs -------------------------------------------------------------------------------

    def start(self, *command: str, variables: Mapping[str, str] | None = None) -> None:
        """Start a program that stays. What it says goes into the log."""
        with (self.path / "said").open("ab") as said:
            child = subprocess.Popen(
                command,
                env={**ENVIRONMENT, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=self._enter,
            )
        self._children.append(child)

    def run(self, *command: str, text: bytes = b"", account: str = "root") -> str:
        """What the program printed. Raises AssertionError when it fails."""
        number = 0 if account == "root" else self._accounts[account].number

        def enter() -> None:
            self._enter()
            os.setgroups([])
            os.setgid(number)
            os.setuid(number)

        result = subprocess.run(
            command,
            env=ENVIRONMENT,
            input=text,
            capture_output=True,
            timeout=60,
            preexec_fn=enter,
        )
        said = (result.stdout + result.stderr).decode(errors="replace")
        assert result.returncode == 0, f"{command} ended with {result.returncode}: {said}"
        return said

    def log(self) -> str:
        """What the programs said when they started, and what came to syslog."""
        said = self.path / "said"
        return (said.read_text(errors="replace") if said.exists() else "") + self._syslog.text

    def stop(self) -> None:
        """End all processes in here."""
        guard.stop(self.path)
        for child in self._children:
            child.wait(guard.ENDS_WITHIN)

    def _enter(self) -> None:
        """In the new process, before the program."""
        os.chroot(self.path)
        os.chdir("/")
        os.umask(0o022)

    # --- making and removing it -----------------------------------------------------------------

    def _furnish(self) -> None:
        # Links instead of copies: programs are only read, and files we write are new ones.
        shutil.copytree(
            self._tree, self.path, symlinks=True, copy_function=_link, dirs_exist_ok=True
        )
        self.path.chmod(0o755)
        self.directory("/tmp")
        self.file("/tmp").chmod(0o1777)
        self.directory("/run")
        self.directory("/dev")
        for name, numbers in DEVICES.items():
            self._make_device(self.file("/dev") / name, numbers)
        accounts = [Account("root", 0, "/"), Account("nobody", 65534), *self._accounts.values()]
        passwd = [f"{a.name}:x:{a.number}:{a.number}::{a.home}:/bin/sh\n" for a in accounts]
        self.write("/etc/passwd", "".join(passwd))
        self.write("/etc/group", "".join(f"{a.name}:x:{a.number}:\n" for a in accounts))
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("/etc/services", "smtp 25/tcp\n")
        for account in self._accounts.values():
            if account.home != "/nonexistent":
                self.directory(account.home, 0o700, account.name)
        self._syslog.start()

    def _make_device(self, path: Path, numbers: tuple[int, int]) -> None:
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*numbers))
            path.chmod(0o666)
            path.open("rb").close()
        except PermissionError as error:
            raise NoPeer(f"devices cannot be made or used here: {error}") from error

    def _remove(self) -> None:
        self._syslog.stop()
        self._guard.communicate(timeout=REMOVED_WITHIN)


class _Syslog:
    """A /dev/log that remembers."""

    def __init__(self, path: Path) -> None:
        self.text = ""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> None:
        # The name of a socket is short, so it is given relative to its directory.
        descriptor = os.open(self._path.parent, os.O_PATH)
        try:
            self._socket.bind(f"/proc/self/fd/{descriptor}/{self._path.name}")
        finally:
            os.close(descriptor)
        self._path.chmod(0o666)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        while line := self._socket.recv(65536):
            self.text += line.decode(errors="replace").rstrip("\0\n") + "\n"


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)
