"""Keeps the leases of this process alive while their deliveries go on."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, connection

from mta.queue import lease

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Renews each lease at a third of its length, from one thread that is started on first use.

    A lease that cannot be renewed runs out; then its deliveries are somebody else's work, and
    what this process still reports about them is ignored.
    """

    def __init__(self) -> None:
        self._held: dict[int, timedelta] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    @contextmanager
    def holding(self, lease_id: int, length: timedelta) -> Iterator[None]:
        with self._lock:
            self._held[lease_id] = length
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(lease_id, None)

    def _run(self) -> None:
        renewed: set[int] = set()
        while True:
            with self._lock:
                held = dict(self._held)
            # A lease seen for the first time is young; it is renewed when it is seen again.
            for lease_id in held.keys() & renewed:
                self._renew(lease_id, held[lease_id])
            renewed = set(held)
            shortest = min(held.values(), default=timedelta(seconds=15))
            self._wake.wait(max(0.5, shortest.total_seconds() / 3))

    def _renew(self, lease_id: int, length: timedelta) -> None:
        try:
            if not lease.renew(lease_id, length):
                log.warning("lease %s was reaped while its delivery went on", lease_id)
        except DatabaseError as error:
            log.warning("lease %s could not be renewed: %s", lease_id, error)
            connection.close()
