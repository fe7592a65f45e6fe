"""The system account PostgreSQL runs as: it refuses to run as root.

Started by an ordinary user, everything runs as that user. Started by root, PostgreSQL runs as
`postgres` where that account exists, else as `nobody`.
"""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user and group id."""

    uid: int
    gid: int

    @property
    def is_current(self) -> bool:
        return self.uid == os.geteuid()

    def can_enter(self, directory: Path) -> bool:
        """Whether this account can reach the directory and what lies in it."""
        return self.try_out(lambda: os.stat(f"{directory}/."))  # noqa: PTH116 (Path drops the dot)

    def try_out(self, action: Callable[[], object]) -> bool:
        """Run the action in a child process as this account; False when it meets an OSError."""
        if self.is_current:
            return _succeeds(action)
        child = os.fork()
        if child == 0:
            # Nothing may return from here: the child is a copy of the whole program.
            try:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                os._exit(0 if _succeeds(action) else 1)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        return status == 0


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


def current() -> Account:
    return Account(os.geteuid(), os.getegid())


def for_postgres(data: Path) -> Account:
    """Who runs PostgreSQL on this data directory: its owner, if it exists and is not root."""
    if os.geteuid() != 0:
        return current()
    try:
        owner = data.stat()
    except FileNotFoundError:
        owner = None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)
