"""Kills whatever runs in a root directory and removes it, even when the tests were killed.

    python -m tests.peers.guard DIRECTORY

It waits for the end of its standard input, which comes when the process that started it ends, one
way or the other. Peers change accounts and sessions, so no signal of the system's reaches them all;
but none of them can leave its root.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ENDS_WITHIN = 5.0


def processes(root: Path) -> list[int]:
    """The process ids of all that runs in the root."""
    return [pid for pid in _process_ids() if _root_of(pid) == str(root)]


def stop(root: Path) -> None:
    """Ask all processes in the root to end, and kill those that are still there after a while."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + ENDS_WITHIN
        while (running := processes(root)) and time.monotonic() < deadline:
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.05)


def _process_ids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _root_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/root").readlink())
    except OSError:
        # It has ended.
        return ""


if __name__ == "__main__":
    place = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()
    stop(place)
    shutil.rmtree(place, ignore_errors=True)
