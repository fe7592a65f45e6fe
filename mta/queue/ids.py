"""Message ids: made by the process that accepts, unique without asking the database each time.

63 bits: milliseconds since 2020 (43), the number of this process (10), a counter (10). The
process number comes from a database sequence. Should two processes ever make the same id, the
primary key refuses the second commit, and its client is told to come again.
"""

import threading
import time

from django.db import connection

_EPOCH = 1_577_836_800_000
_PER_MILLISECOND = 1024


class IdMaker:
    """Makes ascending ids; safe to use from several threads."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._moment = 0
        self._count = 0

    def next(self) -> int:
        with self._lock:
            now = max(time.time_ns() // 1_000_000 - _EPOCH, self._moment)
            if now == self._moment:
                self._count += 1
                if self._count == _PER_MILLISECOND:
                    now, self._count = now + 1, 0
            else:
                self._count = 0
            self._moment = now
            return now << 20 | self._node << 10 | self._count


def make_id_maker() -> IdMaker:
    """An id maker with a process number of its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('mta_node_seq')")
        (node,) = cursor.fetchone()
    return IdMaker(int(node))
