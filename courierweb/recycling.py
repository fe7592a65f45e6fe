"""A worker that has become old or fat ends in good order, at an idle moment if it can.

The supervisor starts it again at once. Ending is Celery's warm shutdown: runners finish the batch
at hand, and what was not begun is found by the new worker, so no mail is late or lost.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, connection

from mta.models import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and octets; 0 is no limit. Idle from `low` on, at the latest at `high`."""

    low: float
    high: float
    memory: int


def reason(limits: Limits, age: float, memory: int, *, idle: bool) -> str:
    """Why a worker of that age (seconds) and size (octets) ends now; "" when it goes on."""
    if limits.memory and memory > limits.memory:
        return f"it has grown to {memory >> 20} MiB"
    if limits.high and age >= limits.high:
        return f"it has run for {age:.0f} s"
    if limits.low and age >= limits.low and idle:
        return f"it has run for {age:.0f} s and is idle"
    return ""


def watch(idle: Callable[[], bool]) -> None:
    """Look now and then, from a thread of its own, and end this worker when it is time."""
    began = time.monotonic()

    def run() -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            limits = _limits()
            if limits is None:
                continue
            why = reason(limits, time.monotonic() - began, resident(os.getpid()), idle=idle())
            if why:
                log.info("the worker is started again: %s", why)
                os.kill(os.getpid(), signal.SIGTERM)
                break

    threading.Thread(target=run, name="recycling", daemon=True).start()


def resident(pid: int) -> int:
    """The octets that a process and its children hold in memory."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * _PAGE + sum(resident(int(child)) for child in children)


def _limits() -> Limits | None:
    """Those of the settings, None while the database cannot be asked."""
    try:
        row = Settings.load()
    except DatabaseError as error:
        log.warning("the limits of this worker cannot be read: %s", error)
        return None
    finally:
        connection.close()
    return Limits(row.respawnlo.total_seconds(), row.respawnhi.total_seconds(), row.respawnmemory)
