"""The ManageSieve process: opens its port, serves until asked to stop, then ends in good order."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mta.ingress.house import House
from mta.ingress.process import listening_socket
from mta.managesieve.connection import Connection
from mta.managesieve.session import Session

log = logging.getLogger(__name__)

BACKLOG = 128
DRAIN_SECONDS = 4.0
# Scripts are compiled one at a time on each; more would only wait for the interpreter.
THREADS = 2


class Server:
    """What takes connections from a bound socket, until `close`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._threads = ThreadPoolExecutor(THREADS, "scripts")
        self._sessions: set[Connection] = set()

    async def open(self, sock: socket.socket) -> None:
        factory = partial(Session, self._house, self._sessions, self._threads)
        loop = asyncio.get_running_loop()
        self._door = await loop.create_server(factory, sock=sock, backlog=BACKLOG)

    async def close(self) -> None:
        """No new sessions; commands under way may finish, idle clients hear BYE."""
        self._house.stopping = True
        self._door.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        while self._sessions and loop.time() < deadline:
            for session in tuple(self._sessions):
                session.close_soon()
            await asyncio.sleep(0.05)
        try:
            await asyncio.wait_for(self._house.committer.drain(), DRAIN_SECONDS)
        except TimeoutError:
            log.warning("the database did not take the last refusals")
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._house.committer.close()
        self._house.gate.close()
        self._house.inquiry.close()
        log.info("managesieve ended with %d sessions open", len(self._sessions))


async def serve(house: House, port: int, opened: Callable[[], Callable[[], None]]) -> None:
    """Serve until SIGTERM or SIGINT. `opened` is called once the port is open; what it gives is
    called when it closes. Raises OSError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(house)
    await server.open(listening_socket(port))
    log.info("managesieve is ready on port %d", port)
    closed = opened()
    await stop.wait()
    closed()
    await server.close()
