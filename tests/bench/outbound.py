"""How many sessions with other hosts one worker process holds at once, and what memory it takes.

    DATABASE_URL=... python -m tests.bench.outbound [SESSIONS] [--size OCTETS] [--hold N]

Runs the real crew, runner, lending of connections and esmtp transport against a host that takes
all sessions by STARTTLS as far as DATA, and reads nothing until it has them all (or N of them):
each holds its TLS session, its claim and its message of that size. The queue it fills is that of
DATABASE_URL, which must hold no other mail.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "courierweb.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from mta import runtime  # noqa: E402
from mta.models import (  # noqa: E402
    DeliveryLimit,
    Destination,
    Message,
    Recipient,
    Route,
    Settings,
    State,
)
from tests.queue.rows import make_message  # noqa: E402

LONGEST = 120.0
DOMAIN = "bench.example"


class SlowPeer:
    """The host of `tests.bench.slow_peer`; `has_all` once every session is in DATA."""

    def __init__(self, sessions: int) -> None:
        command = [sys.executable, "-m", "tests.bench.slow_peer", str(sessions)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.has_all = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline():
            self.has_all.set()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def mebibytes(what: str) -> float:
    """Of this process: VmRSS now, VmHWM at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise OSError("this system tells no resident memory")


def fill(sessions: int, port: int, size: int) -> None:
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
        message = make_message(f"{number}@{DOMAIN}", created_at=begin, size=size)
        message.recipient_set.update(nexthop=nexthop)
    with connection.cursor() as cursor:
        # Made over there, so that this process never had them.
        cursor.execute(
            "UPDATE mta_content SET data = convert_to("
            "E'Subject: bench\\r\\n\\r\\n' || repeat(repeat('x', 76) || E'\\r\\n', %s), 'UTF8')",
            [size // 78],
        )


def empty() -> None:
    """Leave the database as it was found."""
    Recipient.objects.all().delete()
    Message.objects.all().delete()
    Destination.objects.filter(nexthop__startswith="relay:[127.0.0.1]:").delete()
    DeliveryLimit.objects.filter(note=DOMAIN).delete()
    Route.objects.filter(domain=DOMAIN).delete()
    Settings.objects.update(batchsize=100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sessions", type=int, nargs="?", default=300)
    parser.add_argument("--size", type=int, default=512 * 1024, help="octets of each message")
    parser.add_argument("--hold", type=int, help="sessions in DATA before the host reads")
    options = parser.parse_args()
    peer = SlowPeer(options.hold or options.sessions)
    fill(options.sessions, peer.port, options.size)
    before = mebibytes("VmRSS")
    begin = time.monotonic()
    runtime.start_delivery("esmtp")
    # With more octets than the sessions may share, some wait for their turn.
    peer.has_all.wait(LONGEST)
    took = time.monotonic() - begin
    held = mebibytes("VmRSS")
    while not peer.has_all.is_set() or runtime.crew().busy:
        if time.monotonic() - begin > LONGEST:
            break
        time.sleep(0.1)
    left = Recipient.objects.exclude(state=State.RELAYED).count()
    print("sessions   seconds  MiB before  MiB in DATA  MiB at most  not relayed")
    print(
        f"{options.sessions:8}{took:10.1f}{before:12.0f}{held:13.0f}"
        f"{mebibytes('VmHWM'):13.0f}{left:13}"
    )
    runtime.stop()
    peer.end()
    while runtime.crew().busy:
        time.sleep(0.1)
    empty()


if __name__ == "__main__":
    main()
