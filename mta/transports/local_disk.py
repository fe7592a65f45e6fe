# ruff: noqa: PTH108
"""Writing files so that they survive a power cut, for the local transport (step 6)."""

import ctypes
import errno
import logging
import os
from collections.abc import Callable

logger = logging.getLogger(__name__)

_LOST_WRITE = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})


def write_new(path: str, parts: tuple[bytes, bytes]) -> None:
    """Writes a new file; removes it again when that fails. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        written = os.writev(descriptor, parts)
        if written < len(parts[0]) + len(parts[1]):
            _write_rest(descriptor, parts, written)
    except OSError:
        remove(path)
        raise
    finally:
        os.close(descriptor)


def _write_rest(descriptor: int, parts: tuple[bytes, bytes], written: int) -> None:
    """The rest after a short write, which a full disk or more than 2 GiB brings about."""
    for part in parts:
        view = memoryview(part)[written:]
        written = max(0, written - len(part))
        while view:
            view = view[os.write(descriptor, view) :]


def remove(path: str) -> None:
    """Removes a file that need not be there any more."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s could not be removed: %s", path, error)


def _load_syncfs() -> Callable[[int], int] | None:
    try:
        syncfs: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    return syncfs


_syncfs = _load_syncfs()


def sync_file_system(descriptor: int) -> bool:
    """Syncs the file system that the descriptor is on; False where that is not to be had.

    Raises OSError when data that were written before are lost.
    """
    if _syncfs is None:
        return False
    if _syncfs(descriptor) == 0:
        return True
    number = ctypes.get_errno()
    if number in _LOST_WRITE:
        raise OSError(number, os.strerror(number))
    return False


def sync_path(path: str) -> None:
    """Syncs one file, or the names in one directory. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
