"""The threads of one worker process that talk to other hosts (step 5).

Talking to other hosts is waiting, so there is a thread for each session and there are hundreds
of them. A runner that found work asks for one more, so the crew grows as far as there is work
and no farther.
"""

import logging
import threading
from collections.abc import Callable

from django.db import InterfaceError, OperationalError

log = logging.getLogger(__name__)


class Crew:
    """Callable with a transport's name from any thread: at most `slots` runs of `work` at once.

    Who asks while all are busy gets the next free slot, in turn with other transports, and
    `overflow` is told, so that another host may help.
    """

    def __init__(
        self, slots: int, work: Callable[[str], object], overflow: Callable[[str], None]
    ) -> None:
        self.slots = slots
        self._work = work
        self._overflow = overflow
        self._lock = threading.Lock()
        self._busy = 0
        self._waiting: dict[str, None] = {}

    def __call__(self, name: str) -> None:
        with self._lock:
            is_free = self._busy < self.slots
            if is_free:
                self._busy += 1
            else:
                self._waiting[name] = None
        if not is_free:
            self._overflow(name)
            return
        # Not a daemon: a worker that is asked to end waits for the transactions at hand.
        thread = threading.Thread(target=self._run, args=[name], name=f"runner-{name}")
        try:
            thread.start()
        except RuntimeError as error:
            # The system gives no more threads; those that there are go on, and the tick asks anew.
            log.warning("no thread for another session: %s", error)
            with self._lock:
                self._busy -= 1

    @property
    def busy(self) -> int:
        return self._busy

    def _run(self, name: str | None) -> None:
        while name is not None:
            try:
                self._work(name)
            except (OperationalError, InterfaceError) as error:
                log.warning("the database does not answer: %s", error)
            except Exception:
                # The slot outlives a fault; the lease of what was at hand runs out by itself.
                log.exception("a runner of %s failed", name)
            name = self._next()

    def _next(self) -> str | None:
        with self._lock:
            if self._waiting:
                name = next(iter(self._waiting))
                del self._waiting[name]
                return name
            self._busy -= 1
            return None
