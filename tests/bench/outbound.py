"""How many sessions with other hosts one worker process holds at once, and what memory it takes.

    DATABASE_URL=... python -m tests.bench.outbound [SESSIONS]

Runs the real crew, runner, lending of connections and esmtp transport against a peer on
127.0.0.1 that answers only when all sessions are open. The queue it fills is that of
DATABASE_URL, which must hold no other mail.
"""

import os
import socket
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "courierweb.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from mta import runtime  # noqa: E402
from mta.models import (  # noqa: E402
    DeliveryLimit,
    Destination,
    Message,
    Recipient,
    Route,
    Settings,
)
from tests.queue.rows import make_message  # noqa: E402

LONGEST = 120.0
DOMAIN = "bench.example"


class SlowPeer:
    """Takes connections and stays silent, as a slow host does, until it is let go."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def sessions(self) -> int:
        return len(self._open)

    def let_go(self) -> None:
        """End every session as a host does that wants no more of them."""
        self._listener.close()
        for each in self._open:
            each.sendall(b"554 5.3.2 the bench is over\r\n")
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)


def resident_mebibytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("this system tells no resident memory")


def fill(sessions: int, port: int) -> None:
    """A message for each session, and a destination that is trusted with all of them at once."""
    if Message.objects.exists():
        raise SystemExit("the queue holds mail: this bench wants an empty one")
    Route.objects.create(domain=DOMAIN, relay="[127.0.0.1]", port=port)
    nexthop = f"relay:[127.0.0.1]:{port}"
    DeliveryLimit.objects.create(nexthop=nexthop, simultaneous=sessions, note=DOMAIN)
    Destination.objects.create(
        transport="esmtp", nexthop=nexthop, concurrency=sessions, last_ok_at=timezone.now()
    )
    Settings.load()
    Settings.objects.update(batchsize=1)
    begin = timezone.now() - timedelta(minutes=1)
    for number in range(sessions):
        message = make_message(
            f"{number}@{DOMAIN}", created_at=begin, content=b"Subject: bench\r\n\r\n" + b"x" * 4000
        )
        message.recipient_set.update(nexthop=nexthop)


def empty() -> None:
    """Leave the database as it was found."""
    Recipient.objects.all().delete()
    Message.objects.all().delete()
    Destination.objects.filter(nexthop__startswith="relay:[127.0.0.1]:").delete()
    DeliveryLimit.objects.filter(note=DOMAIN).delete()
    Route.objects.filter(domain=DOMAIN).delete()
    Settings.objects.update(batchsize=100)


def main() -> None:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    peer = SlowPeer()
    fill(sessions, peer.port)
    before = resident_mebibytes()
    begin = time.monotonic()
    runtime.start_delivery("esmtp")
    while peer.sessions < sessions and time.monotonic() - begin < LONGEST:
        time.sleep(0.1)
    print(f"{'sessions':>10}{'seconds':>10}{'MiB before':>12}{'MiB':>8}")
    took = time.monotonic() - begin
    print(f"{peer.sessions:>10}{took:>10.1f}{before:>12.0f}{resident_mebibytes():>8.0f}")
    runtime.stop()
    peer.let_go()
    while runtime.crew().busy:
        time.sleep(0.1)
    empty()


if __name__ == "__main__":
    main()
