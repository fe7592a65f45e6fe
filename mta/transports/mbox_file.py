"""Appending to an mbox that others read and write at the same time (step 6).

Both kernel locks are taken, since programs differ in which they respect. Waiting is bounded: who
does not get them tries again later. A message that could not be written whole is cut off again.
"""

import errno
import fcntl
import os
import stat
import time

LOCK_SECONDS = 30.0
_POLL_SECONDS = 0.1


def append(path: str, text: bytes, patience: float = LOCK_SECONDS) -> None:
    """Appends to the mbox, made on first use, and makes it durable.

    Raises OSError; the file is then as it was before. It is TimeoutError when the locks were not to
    be had within `patience` seconds.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "the mbox is not a plain file")
        _lock(descriptor, patience)
        _append_locked(descriptor, text)
    finally:
        # Closing gives the locks back.
        os.close(descriptor)


def _append_locked(descriptor: int, text: bytes) -> None:
    size = os.fstat(descriptor).st_size
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _lock(descriptor: int, patience: float) -> None:
    end = time.monotonic() + patience
    while not _try_to_lock(descriptor):
        if time.monotonic() >= end:
            raise TimeoutError(errno.ETIMEDOUT, "the mbox is locked by another program")
        time.sleep(_POLL_SECONDS)


def _try_to_lock(descriptor: int) -> bool:
    """Both locks or none, so that two programs that take them in turn do not wait for ever."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)
        return False
    return True
