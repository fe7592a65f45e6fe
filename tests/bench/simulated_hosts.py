"""Mail hosts of a small internet on loopback, each with its own trouble; a program of its own.

    python3 -m tests.bench.simulated_hosts < hosts.json > accepted.log

Standard input: a JSON list of [domain, behaviour]. The first line of standard output is a JSON
object, domain: port; every line after it tells a recipient that was accepted:
"SECONDS DOMAIN ADDRESS", the seconds being those of the monotonic clock. Ends with its parent.
"""

import asyncio
import json
import os
import re
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

import uvloop

SLOW_SECONDS = 0.5
GREY_SECONDS = 5.0
THROTTLE_CONNECTIONS = 2
THROTTLE_RECIPIENTS = 20
BACKLOG = 128

_ADDRESS = re.compile(rb"<([^>]*)>")


class Behaviour(StrEnum):
    """What is the matter with a host."""

    FAST = "fast"
    SLOW = "slow"
    REFUSING = "refusing"  # nobody listens
    SILENT = "silent"  # takes the connection and says nothing
    GREYLISTING = "greylisting"
    THROTTLING = "throttling"
    TLS_BROKEN = "tls-broken"
    HALF_ACCEPTING = "half-accepting"


def is_known(address: str) -> bool:
    """Whether a half-accepting host has this recipient: those with an even number at the end."""
    return int(address.partition("@")[0][-1]) % 2 == 0


@dataclass(slots=True)
class Host:
    domain: str
    behaviour: Behaviour
    connections: int = 0
    first_seen: dict[bytes, float] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # Cancelled is who still waits when the program ends.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _Session(self, reader, writer).run()
        self.connections -= 1
        writer.close()

    def is_grey(self, recipient: bytes) -> bool:
        now = time.monotonic()
        return now - self.first_seen.setdefault(recipient, now) < GREY_SECONDS


class _Session:
    """One SMTP session, as little of it as our client needs."""

    def __init__(
        self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host, self._reader, self._writer = host, reader, writer
        self._recipients: list[bytes] = []
        self._accepted = 0

    async def run(self) -> None:
        behaviour = self._host.behaviour
        if behaviour is Behaviour.SILENT:
            await self._reader.read()
            return None
        throttling = behaviour is Behaviour.THROTTLING
        if throttling and self._host.connections > THROTTLE_CONNECTIONS:
            return await self._say("421 4.7.0 too many connections")
        await self._say(f"220 mx.{self._host.domain} ESMTP")
        while line := (await self._reader.readuntil(b"\n")).strip():
            if behaviour is Behaviour.SLOW:
                await asyncio.sleep(SLOW_SECONDS)
            if not await self._answer(line):
                return None
        return None

    async def _answer(self, line: bytes) -> bool:
        """False when the session is over."""
        verb = line[:4].upper()
        if verb == b"EHLO":
            broken = self._host.behaviour is Behaviour.TLS_BROKEN
            last = "250-PIPELINING\r\n250 STARTTLS" if broken else "250 PIPELINING"
            await self._say(f"250-mx.{self._host.domain}\r\n{last}")
        elif verb == b"STAR":
            self._writer.write(b"220 2.0.0 go ahead\r\nthis is no handshake\r\n")
            return False
        elif verb == b"MAIL":
            self._recipients = []
            await self._say("250 2.1.0 Ok")
        elif verb == b"RCPT":
            await self._say(self._recipient(line))
        elif verb == b"DATA":
            return await self._data()
        elif verb == b"QUIT":
            await self._say("221 2.0.0 bye")
            return False
        else:
            await self._say("250 2.0.0 Ok")
        return True

    def _recipient(self, line: bytes) -> str:
        match = _ADDRESS.search(line)
        assert match is not None
        recipient = match[1]
        host = self._host
        if host.behaviour is Behaviour.GREYLISTING and host.is_grey(recipient):
            return "451 4.7.1 greylisted, try later"
        if host.behaviour is Behaviour.THROTTLING and self._accepted >= THROTTLE_RECIPIENTS:
            return "450 4.7.1 too many recipients in this session"
        if host.behaviour is Behaviour.HALF_ACCEPTING and not is_known(recipient.decode()):
            return "550 5.1.1 no such user"
        self._recipients.append(recipient)
        self._accepted += 1
        return "250 2.1.5 Ok"

    async def _data(self) -> bool:
        if not self._recipients:
            await self._say("554 5.5.1 no valid recipients")
            return True
        await self._say("354 go ahead")
        await self._reader.readuntil(b"\r\n.\r\n")
        now = time.monotonic()
        for recipient in self._recipients:
            print(f"{now:.3f} {self._host.domain} {recipient.decode()}")
        await self._say("250 2.0.0 Ok")
        return True

    async def _say(self, reply: str) -> None:
        self._writer.write(reply.encode() + b"\r\n")
        await self._writer.drain()


async def main() -> None:
    hosts = [Host(domain, Behaviour(name)) for domain, name in json.loads(sys.stdin.readline())]
    ports: dict[str, int] = {}
    servers = []
    for host in hosts:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        ports[host.domain] = sock.getsockname()[1]
        if host.behaviour is Behaviour.REFUSING:
            # Bound, so that nobody else gets the port, and never listening.
            servers.append(sock)
            continue
        servers.append(await asyncio.start_server(host.serve, sock=sock, backlog=BACKLOG))
    print(json.dumps(ports), flush=True)
    # Standard input ends with the parent.
    await asyncio.to_thread(sys.stdin.read)
    sys.stdout.flush()
    # Who is silent is so for ever.
    os._exit(0)


if __name__ == "__main__":
    # They shall take little of the processors, which the appliance needs.
    uvloop.run(main())
