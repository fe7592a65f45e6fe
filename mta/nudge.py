"""The doorbell: tells the workers that something is due. Loss is harmless, delay is not.

Nudges are sent by a thread of their own, so that nobody waits for the broker, and those that
come close together become one. A broker that is away is logged and otherwise ignored: the beat
finds the work.
"""

import logging
import threading
import time

from celery import current_app

from mta import maillog
from mta.transports import registry
from mta.transports.base import Pool

log = logging.getLogger(__name__)

# At most one nudge of a kind in this time: a runner that is awake finds later work by itself, and
# the local one stays awake for longer than this.
GATHER_SECONDS = 0.2
# A nudge that waited longer found its workers busy, and who is busy looks again at the end; were
# it kept, a long stream of mail would pile nudges up in front of the tick.
STALE_SECONDS = 2
REPORT = "report"


class Nudger:
    """Callable from any thread; never blocks and never raises."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._sending = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, name: str) -> None:
        """Call a runner for the transport `name`, or for due reports (REPORT)."""
        with self._condition:
            self._wanted.add(name)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="nudge", daemon=True)
                self._thread.start()
            self._condition.notify()

    def drain(self, seconds: float) -> None:
        """Wait until what was asked for is sent; for programs that end right after."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self._condition:
                if not self._wanted and not self._sending:
                    return
            time.sleep(0.005)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._wanted)
                # Taken before it is sent: what is committed meanwhile asks anew.
                names, self._wanted = self._wanted, set()
                self._sending = True
            for name in names:
                _send(name)
            with self._condition:
                self._sending = False
            time.sleep(GATHER_SECONDS)


def _send(name: str) -> None:
    try:
        if name == REPORT:
            _send_task("mta.report", [], Pool.LOCAL)
        else:
            _send_task("mta.deliver", [name], registry.pool_of(name), expires=STALE_SECONDS)
    except Exception as error:  # the broker's client raises many kinds; none may reach the mail
        maillog.broker_unreachable(error=str(error))


def _send_task(task: str, arguments: list[str], queue: Pool, expires: int | None = None) -> None:
    current_app.send_task(
        task, arguments, queue=queue.value, ignore_result=True, retry=False, expires=expires
    )
