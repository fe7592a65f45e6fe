"""Running something beside the test, with a database connection of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

SECONDS = 60.0


class Beside:
    """A function running in a thread. `result()` waits for it; its exception is raised there."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> Any:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "it never ended"
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()


@contextmanager
def beside(prepare: Callable[[], None]) -> Iterator[None]:
    """In the block another connection holds the transaction in which `prepare` ran."""
    ready, release = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                prepare()
                ready.set()
                release.wait(SECONDS)
        finally:
            ready.set()

    holder = Beside(hold)
    ready.wait(SECONDS)
    try:
        yield
    finally:
        release.set()
        holder.result()


def waiting_for_locks() -> int:
    """How many connections to this database wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])
