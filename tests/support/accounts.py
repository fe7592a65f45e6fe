"""A user of the system for one test: a home that others can reach, and an entry for it.

When the test runs as root the user is somebody else, as in production; otherwise ourselves.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Nobody's number: nothing on the machine belongs to it.
NUMBER = 64_123


@dataclass(frozen=True)
class User:
    name: str
    uid: int
    gid: int
    home: Path

    def write(self, name: str, text: str | bytes, mode: int = 0o600) -> Path:
        """A file of the user's own in the home."""
        path = self.home / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)
        return path

    def letters(self, maildir: str = "Maildir") -> list[bytes]:
        new = self.home / maildir / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []


@contextmanager
def system_user(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """The user `name`, whom the system knows until the end."""
    is_root = os.geteuid() == 0
    uid, gid = (NUMBER, NUMBER) if is_root else (os.geteuid(), os.getegid())
    home = Path(tempfile.mkdtemp(prefix=f"home-{name}-"))
    os.chown(home, uid, gid)
    user = User(name, uid, gid, home)
    found = pwd.getpwnam
    entry = pwd.struct_passwd((name, "x", uid, gid, "", str(home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda who: entry if who == name else found(who))
    try:
        yield user
    finally:
        shutil.rmtree(home)
