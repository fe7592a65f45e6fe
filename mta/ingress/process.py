"""One ingress process: opens the doors, serves until asked to stop, then ends in good order.

Several such processes share the ports (SO_REUSEPORT); one that dies takes only its own
sessions with it.
"""

import asyncio
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mta.ingress import tls
from mta.ingress.doors import Opened, open_door
from mta.ingress.house import House, Listener
from mta.ingress.server import Connection

log = logging.getLogger(__name__)

DRAIN_SECONDS = 4.0
# The loop shares the interpreter with the committer's thread; let it have its turn quickly.
SWITCH_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Door:
    """A listener on a port; all addresses, IPv6 included where there is IPv6."""

    listener: Listener
    port: int


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """What STARTTLS and implicit TLS use. Raises OSError or ssl.SSLError with a bad file."""
    return tls.server_context(certificate, key)


async def serve(
    house: House, doors: Sequence[Door], opened: Callable[[], Callable[[], None]]
) -> None:
    """Serve until SIGTERM or SIGINT. `opened` is called once the doors are open; what it gives
    is called when they close."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # aiosmtpd tells every command at INFO; our own log has one line per event.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sessions: set[Connection] = set()
    opened_doors = [
        await open_door(house, door.listener, listening_socket(door.port), sessions)
        for door in doors
        if _can_open(house, door)
    ]
    log.info("ingress is ready on ports %s", ", ".join(str(door.port) for door in doors))
    closed = opened()
    await stop.wait()
    closed()
    await _end(house, opened_doors, sessions)


def _can_open(house: House, door: Door) -> bool:
    if door.listener.implicit_tls and house.tls is None:
        log.warning("no certificate: the %s listener stays closed", door.listener.name)
        return False
    return True


def listening_socket(port: int) -> socket.socket:
    """A listening socket on every address, dual stack where the host has IPv6."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    sock.setblocking(False)
    return sock


async def _end(house: House, doors: Sequence[Opened], sessions: set[Connection]) -> None:
    """No new sessions; transactions under way may finish, idle clients hear 421."""
    house.stopping = True
    for door in doors:
        door.close()
    deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
    while sessions and asyncio.get_running_loop().time() < deadline:
        for session in tuple(sessions):
            session.close_soon()
        await asyncio.sleep(0.05)
    try:
        await asyncio.wait_for(house.committer.drain(), DRAIN_SECONDS)
    except TimeoutError:
        log.warning("the database did not take the last refusals")
    house.committer.close()
    house.gate.close()
    house.inquiry.close()
    log.info("ingress ended with %d sessions open", len(sessions))
