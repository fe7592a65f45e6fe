"""Signs of life of this process, for /healthz and the console."""

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

from mta.models import Heartbeat

INTERVAL = 3.0
FRESH = 15.0


def beat(part: str, info: dict[str, Any] | None = None, pid: int | None = None) -> None:
    """Say that `part` is alive now."""
    now = timezone.now()
    Heartbeat.objects.update_or_create(
        part=part,
        host=socket.gethostname(),
        pid=os.getpid() if pid is None else pid,
        defaults={"at": now, "info": info or {}},
        create_defaults={"at": now, "started_at": now, "info": info or {}},
    )


def retire(part: str) -> None:
    """This process ends in good order: its row goes, so that nobody takes it for lost."""
    Heartbeat.objects.filter(part=part, host=socket.gethostname(), pid=os.getpid()).delete()


def keep_beating(part: str, info: Callable[[], dict[str, Any]] = dict) -> threading.Event:
    """Beat from a thread of its own every INTERVAL seconds until the returned event is set."""
    stop = threading.Event()

    def run() -> None:
        while True:
            try:
                beat(part, info())
            except DatabaseError:
                connection.close()
            if stop.wait(INTERVAL):
                break
        try:
            retire(part)
        except DatabaseError:
            pass
        connection.close()

    threading.Thread(target=run, name=f"heartbeat-{part}", daemon=True).start()
    return stop
