"""Private directories for the sockets of PostgreSQL and Valkey, and the check of our ports.

The path of a Unix socket has at most 107 octets, so sockets do not live under the home, whose
path may be long: each home has a short directory of its own in /run or /tmp.
"""

import errno
import hashlib
import os
import shutil
import socket
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.account import Account, current
from deploy.console import CannotStart


def fingerprint(path: Path) -> str:
    """Ten hex digits that stand for a directory in short names."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:10]


def directory_for(home: Path, purpose: str, account: Account) -> Path:
    """Make the private directory for the sockets of one server of one home.

    Root's lie in /run, where nobody else can put anything; others' in /tmp, because
    $XDG_RUNTIME_DIR goes away when its user logs out and the appliance may stay.
    """
    path = _prefix(home).with_name(f"{_prefix(home).name}-{purpose}")
    make_private(path, account)
    return path


def submit_socket(home: Path) -> Path:
    """Where local programs leave their mail; deploy/sendmail finds it by the same rule."""
    return _prefix(home).with_name(f"{_prefix(home).name}-submit") / "socket"


def make_submit_directory(home: Path) -> None:
    """Make its directory: only we can put something there, everybody can pass."""
    path = submit_socket(home).parent
    make_private(path, current())
    path.chmod(0o755)


def remove_directories(home: Path) -> None:
    """Remove what directory_for() has made for a home, when nothing uses it any more."""
    prefix = _prefix(home)
    for path in prefix.parent.glob(f"{prefix.name}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _prefix(home: Path) -> Path:
    if os.geteuid() == 0 and os.access("/run", os.W_OK):
        return Path(f"/run/courierweb-{fingerprint(home)}")
    return Path(f"/tmp/courierweb-{os.geteuid()}-{fingerprint(home)}")


def make_private(path: Path, account: Account) -> None:
    """Make a directory only the account can enter, or make sure an existing one is just that.

    Anybody may write to /tmp: a directory of another owner, or a link, is a trap and refused.
    """
    try:
        path.mkdir(mode=0o700)
        if not account.is_current:
            os.chown(path, account.uid, account.gid)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (account.uid, os.geteuid()):
        raise CannotStart(f"{path} belongs to somebody else; remove it or ask its owner to")
    path.chmod(0o700)
    if found.st_uid != account.uid:
        os.chown(path, account.uid, account.gid)


def check_ports(ports: Mapping[str, int], patience: float) -> None:
    """Make sure that every port is free. `ports` is variable name -> port.

    `patience` (seconds) is for the remains of a run that was killed, which end by themselves.
    Raises CannotStart naming variable and port.
    """
    deadline = time.monotonic() + patience
    for name, port in ports.items():
        while (problem := _cannot_bind(port)) == errno.EADDRINUSE and time.monotonic() < deadline:
            time.sleep(0.1)
        if problem == errno.EADDRINUSE:
            raise CannotStart(f"port {port} ({name}) is taken by another program")
        if problem:
            raise CannotStart(f"cannot use port {port} ({name}): {os.strerror(problem)}")


def _cannot_bind(port: int) -> int:
    """The error number of binding the port on all addresses, 0 when it works."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError as error:
            return error.errno or errno.EIO
    return 0
