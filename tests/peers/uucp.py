"""The programs of Debian's package uucp, as they would be on our host, with a spool of their own.

uux leaves jobs there, which nobody calls for, and uuxqt carries out what came for us. The files are
the account's uucp, which every Debian has, since the appliance runs uux as that.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.peers.packages import NoPeer, tree
from tests.support.appliance import ROOT

PACKAGE = "uucp"
CONFIGURATION = """\
nodename {node}
spool {place}/spool
pubdir {place}/public
lockdir {place}/spool
logfile {place}/Log
statfile {place}/Stats
debugfile {place}/Debug
sysfile {place}/sys
portfile {place}/empty
dialfile {place}/empty
callfile {place}/empty
passwdfile {place}/empty
"""
SYSTEMS = """\
commands rmail
command-path {place}
system {node}
system apple
time any
system food
time any
"""
# It is called with no environment that could tell where the appliance is.
RMAIL = """\
#!/bin/sh
COURIERWEB_HOME='{home}'
export COURIERWEB_HOME
exec {place}/program/rmail "$@"
"""


class UucpHost:
    """Our host's UUCP. Use it as a context manager; uux is in `programs` meanwhile."""

    def __init__(self, cache: Path, node: str, home: Path, programs: Path) -> None:
        try:
            self._owner = pwd.getpwnam("uucp")
        except KeyError as error:
            raise NoPeer("there is no account uucp on this machine") from error
        self._tree = tree(cache, (PACKAGE,))
        self._uux = programs / "uux"
        self._node, self._home = node, home
        self.place = Path(tempfile.mkdtemp(prefix="uucp-"))

    def __enter__(self) -> Self:
        self.place.chmod(0o755)
        words = {"node": self._node, "place": self.place, "home": self._home}
        (self.place / "config").write_text(CONFIGURATION.format(**words))
        (self.place / "sys").write_text(SYSTEMS.format(**words))
        (self.place / "empty").touch()
        (self.place / "spool").mkdir()
        self._own(self.place, self.place / "spool")
        (self.place / "program").mkdir(0o755)
        shutil.copy(ROOT / "deploy" / "sendmail", self.place / "program" / "rmail")
        (self.place / "rmail").write_text(RMAIL.format(**words))
        (self.place / "rmail").chmod(0o755)
        # The package's own are set-uid; these take another configuration instead.
        self._uux.parent.chmod(0o755)
        shutil.copy(self._tree / "usr/bin/uux", self._uux)
        self._open(self._uux, *self.place.rglob("*"))
        return self

    def __exit__(self, *error: object) -> None:
        self._uux.unlink()
        shutil.rmtree(self.place)

    @property
    def flags(self) -> str:
        """Options of uux: this configuration, and no call."""
        return f"-I {self.place}/config -r -j -g C"

    def jobs(self, system: str) -> list[tuple[str, bytes]]:
        """(the command, its standard input) of the jobs for a system, oldest first."""
        place = self.place / "spool" / system
        found: list[tuple[str, bytes]] = []
        for job in sorted((place / "C.").glob("C.*"), key=lambda each: each.stat().st_mtime_ns):
            line = job.read_text()
            if line.startswith("E "):
                words = line.split()
                found.append((" ".join(words[9:]), (place / "D." / words[1]).read_bytes()))
        return found

    def requests(self, system: str) -> list[str]:
        """The lines of what `system` is asked to do for a host behind it."""
        files = sorted((self.place / "spool" / system / "D.X").glob("*"))
        return [line for file in files for line in file.read_text().splitlines()]

    def receive(self, command: str, message: bytes) -> None:
        """Carry out a command of `apple` as if it had called us."""
        inbox = self.place / "spool" / "apple"
        for folder in ("D.", "X."):
            (inbox / folder).mkdir(parents=True, exist_ok=True)
        (inbox / "D." / "D.appleN0001").write_bytes(message)
        (inbox / "X." / "X.appleN0001").write_text(
            f"U john apple\nF D.appleN0001\nI D.appleN0001\nC {command}\n"
        )
        self._own(*inbox.parent.rglob("*"), inbox)
        program = self._tree / "usr/sbin/uuxqt"
        copy = self.place / "program" / "uuxqt"
        shutil.copy(program, copy)
        self._open(copy)
        done = subprocess.run(
            [copy, "-I", self.place / "config"],
            cwd="/",
            capture_output=True,
            timeout=60,
            user=self._owner.pw_uid,
            group=self._owner.pw_gid,
            extra_groups=[],
        )
        assert done.returncode == 0, done.stderr

    def log(self) -> str:
        file = self.place / "Log"
        return file.read_text() if file.exists() else ""

    def _open(self, *paths: Path) -> None:
        """For everybody to read, whatever our umask is: uux does not run as us."""
        for path in paths:
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
            if path.name in ("uux", "uuxqt", "rmail"):
                path.chmod(0o755)

    def _own(self, *paths: Path) -> None:
        for path in paths:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
