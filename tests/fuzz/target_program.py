"""The ingress that is fuzzed, in a process of its own, which tells about itself when asked.

It listens on free loopback ports and prints them. Then each line on standard input is answered
by one line of JSON: `state` (see `_state`), `deliver` (runs the local transport until nothing is
due). At the end of the input it ends.
"""

import asyncio
import json
import logging
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import django
import uvloop
from django.conf import settings

django.setup()

from mta import runtime  # noqa: E402
from mta.ingress import auth_verb  # noqa: E402
from mta.ingress.doors import open_door  # noqa: E402
from mta.ingress.house import House, Listener  # noqa: E402
from mta.ingress.server import Connection  # noqa: E402

LONGEST_DRAIN = 30.0
LOOK_EVERY = 0.02
FAILURES_KEPT = 20


class Failures(logging.Handler):
    """What should never be logged: errors, and whatever asyncio complains about. Everything else
    is formatted and thrown away, so that no message of the log goes untried."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.first: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.ERROR or record.exc_info or record.name == "asyncio":
            self.count += 1
            if len(self.first) < FAILURES_KEPT:
                self.first.append(text)


class Watch:
    """How long the loop stood still at most, in seconds: so long all sessions had to wait for
    one. It begins anew whenever it is read."""

    def __init__(self) -> None:
        self._longest = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LOOK_EVERY)
            self._longest = max(self._longest, loop.time() - before - LOOK_EVERY)

    def read(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest


async def serve(house: House, failures: Failures) -> None:
    sessions: set[Connection] = set()
    watch = Watch()
    async with _open_doors(house, sessions) as ports, asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run())
        _tell(ports)
        async for order in _orders():
            if order == "state":
                await asyncio.wait_for(house.committer.drain(), LONGEST_DRAIN)
                _tell(_state(house, sessions, failures) | {"stood_still": watch.read()})
            else:
                assert order == "deliver", f"what is {order}?"
                _tell({"delivered": await asyncio.to_thread(runtime.deliver, "local")})
        watching.cancel()
    house.committer.close()
    house.gate.close()
    house.inquiry.close()


@asynccontextmanager
async def _open_doors(house: House, sessions: set[Connection]) -> AsyncIterator[dict[str, int]]:
    """Every listener on 127.0.0.1, and smtp on ::1 as "smtp6" where the host has it."""
    places = {
        "smtp": (Listener("smtp"), "127.0.0.1"),
        "submission": (Listener("submission", auth_required=True), "127.0.0.1"),
        "smtps": (Listener("smtps", auth_required=True, implicit_tls=True), "127.0.0.1"),
        "smtp6": (Listener("smtp"), "::1"),
    }
    ports, doors = {}, []
    for name, (listener, host) in places.items():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.create_server((host, 0), family=family, backlog=512)
        except OSError:
            assert host == "::1"
            continue
        sock.setblocking(False)
        ports[name] = sock.getsockname()[1]
        doors.append(await open_door(house, listener, sock, sessions))
    yield ports
    for door in doors:
        door.close()


async def _orders() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


def _state(house: House, sessions: set[Connection], failures: Failures) -> dict[str, Any]:
    """`rss` in kB, `budget` in octets of content held; what a quiet ingress has none of is 0."""
    return {
        "open": len(sessions),
        "connections": house.connections.total,
        "budget": house.budget.used,
        "tasks": len(asyncio.all_tasks()),
        "rss": _resident(),
        "failures": failures.count,
        "first_failures": failures.first,
    }


def _resident() -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1])


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    failures = Failures()
    failures.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    logging.getLogger().handlers = [failures]
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    # A slow hash and a pause would make a fuzz of passwords a long wait.
    auth_verb.AUTH_FAILURE_PAUSE = 0.0
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    house = runtime.ingress_house()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(house, failures))


if __name__ == "__main__":
    main()
