"""The home directory: made, held by one appliance at a time, and told what was decided."""

import fcntl
import json
import os
from pathlib import Path

from courierweb.environment import Environment
from deploy.console import CannotStart

DIRECTORIES = ("log", "run", "tls", "mail")


def make(home: Path) -> None:
    """Make the home and its directories. Raises CannotStart when that is impossible."""
    try:
        if not home.exists():
            home.mkdir(parents=True)
            # PostgreSQL, another user when we are root, passes through; nobody lists it.
            home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for name in DIRECTORIES:
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"cannot use COURIERWEB_HOME={home}: {error.strerror}") from error


class Lock:
    """The home's lock. The kernel lets go of it when the process ends, however it ends.

    The file holds the process id while the appliance runs and is emptied by an orderly end.
    """

    def __init__(self, home: Path) -> None:
        path = home / "run" / "lock"
        self._file = path.open("a+")
        self._file.seek(0)
        owner = self._file.read().strip()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"an appliance is already running on {home} (process {owner})"
            ) from error
        self.was_killed = bool(owner)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.truncate(0)
        self._file.close()


def remember(environment: Environment) -> None:
    """Write HOME/run/environment.json, by which manage.py in a fresh shell finds the appliance."""
    path = environment.state_file
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(environment.variables(), indent=1))
    fresh.rename(path)
