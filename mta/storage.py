"""Room on the disk: too little of it stops intake and delivery before anything breaks."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ASK_SECONDS = 1.0


class Storage:
    """The file systems that mail is written to. One look serves everybody for a second."""

    def __init__(self, paths: Iterable[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._paths = tuple(paths)
        self._clock = clock
        self._asked_at = float("-inf")
        self._free: list[tuple[Path, int]] = []

    def shortage(self, minfree: int) -> str:
        """What is short, in words; "" when every file system has `minfree` octets left."""
        if not minfree:
            return ""
        if self._clock() - self._asked_at >= ASK_SECONDS:
            self._free = [(path, free(path)) for path in self._paths]
            self._asked_at = self._clock()
        for path, octets in self._free:
            if octets < minfree:
                return f"{octets >> 20} MiB are free in {path}, {minfree >> 20} are wanted"
        return ""


def free(path: Path) -> int:
    """The octets that may still be written there: 0 when it takes no more files, too.

    A directory that is not there yet is made on the file system of its parent.
    """
    while not path.exists() and path != path.parent:
        path = path.parent
    facts = os.statvfs(path)
    if facts.f_files and not facts.f_favail:
        return 0
    return facts.f_bavail * facts.f_frsize
