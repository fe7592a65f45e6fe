"""The RQ worker that shows it is alive the way every other part does: by a Heartbeat row.

`manage.py rqworker default` runs this class (settings.RQ). RQ's own sign of life is minutes
apart and outlives a killed worker; this one is 5 s apart, also while a job runs.
"""

import logging
import os
import time
from typing import Any

from django.db import DatabaseError, connection
from rq import Worker

from mta.queue import heartbeat

logger = logging.getLogger(__name__)

PART = "rq"
INTERVAL_SECONDS = 5


class HeartbeatWorker(Worker):
    """rq.Worker with a heartbeat every INTERVAL_SECONDS."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["job_monitoring_interval"] = INTERVAL_SECONDS
        self._next_beat = 0.0
        super().__init__(*args, **kwargs)

    @property
    def dequeue_timeout(self) -> int:
        return INTERVAL_SECONDS

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        super().heartbeat(timeout, pipeline)
        if os.getpid() == self.pid and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + INTERVAL_SECONDS - 1
            _tell(heartbeat.beat)

    def register_death(self) -> None:
        super().register_death()
        _tell(heartbeat.retire)


def _tell(what: Any) -> None:
    """Writes or removes the row. A database that is away must not stop the worker."""
    try:
        what(PART)
    except DatabaseError as error:
        logger.warning("heartbeat not written: %s", error)
    finally:
        # A job runs in a forked child, which must not inherit this connection.
        connection.close()
