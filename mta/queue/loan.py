"""A few database connections for many threads: each has one only while it asks something.

A session with another host waits most of its life. Were each to keep its own connection, a
worker of some hundred sessions would need as many servers processes of PostgreSQL.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

_ALIAS = "default"


class Loans:
    """At most `size` connections, opened when first needed. The one used last is lent first, so
    that its prepared statements stay of use."""

    def __init__(self, size: int) -> None:
        self._idle: LifoQueue[BaseDatabaseWrapper | None] = LifoQueue()
        for _ in range(size):
            self._idle.put(None)
        self._mine = threading.local()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """`django.db.connection` of this thread is a lent one inside; waits for one if need be.
        Inside itself it changes nothing."""
        if getattr(self._mine, "has_one", False):
            yield
            return
        wrapper = self._idle.get() or _open()
        self._mine.has_one = True
        before = connections[_ALIAS]
        connections[_ALIAS] = wrapper
        try:
            yield
        except (DatabaseError, InterfaceError):
            wrapper.close()
            raise
        finally:
            connections[_ALIAS] = before
            self._mine.has_one = False
            self._idle.put(wrapper)


def _open() -> BaseDatabaseWrapper:
    wrapper = connections.create_connection(_ALIAS)
    # It goes from thread to thread, though never to two at once.
    wrapper.inc_thread_sharing()
    return wrapper
