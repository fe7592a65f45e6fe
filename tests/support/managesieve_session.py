"""A real ManageSieve server inside the test process, and a client that says what a test wants."""

import asyncio
import base64
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from mta import runtime
from mta.ingress.house import House
from mta.managesieve.process import Server
from mta.protocol import scram_client
from tests.support.smtp_session import disconnect_others

SECONDS = 30.0
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@contextmanager
def running_managesieve(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve until the end of the block; gives the port. The directory is new."""
    runtime.directory.cache_clear()
    runtime.id_maker.cache_clear()
    house = runtime.ingress_house()
    house.tls = tls
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    port = sock.getsockname()[1]
    ready, stop = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, house, sock, ready, stop), daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(SECONDS)
        runtime.directory.cache_clear()
        disconnect_others()


def _run(
    loop: asyncio.AbstractEventLoop,
    house: House,
    sock: socket.socket,
    ready: threading.Event,
    stop: asyncio.Event,
) -> None:
    async def serve() -> None:
        server = Server(house)
        await server.open(sock)
        ready.set()
        await stop.wait()
        await server.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(serve())


class Client:
    """The client's side of one connection; the greeting is read."""

    def __init__(self, port: int) -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._file = self.sock.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self.sock.close()

    def send(self, octets: bytes | str) -> None:
        """As it stands: nothing is added."""
        self.sock.sendall(octets.encode() if isinstance(octets, str) else octets)

    def line(self) -> str:
        """One line of a reply, literals included; "" at the end of the connection."""
        octets = self._file.readline()
        while match := _LITERAL.search(octets):
            octets += self._file.read(int(match[1])) + self._file.readline()
        return octets.decode()

    def reply(self) -> str:
        """All lines up to the one that says OK, NO or BYE; what there is at the end."""
        lines = []
        while line := self.line():
            lines.append(line)
            if line.startswith(("OK", "NO", "BYE")):
                break
        return "".join(lines)

    def command(self, line: str) -> str:
        self.send(line + "\r\n")
        return self.reply()

    def put(self, name: str, text: str) -> str:
        octets = text.encode()
        return self.command(f'PUTSCRIPT "{name}" {{{len(octets)}+}}\r\n{text}')

    def starttls(self) -> str:
        """Gives the capabilities under TLS."""
        assert self.command("STARTTLS") == "OK\r\n"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._file.close()
        self.sock = context.wrap_socket(self.sock)
        self._file = self.sock.makefile("rb")
        return self.reply()

    def sign_in(self, user: str, password: str) -> str:
        """By PLAIN."""
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f'AUTHENTICATE "PLAIN" "{response}"')

    def scram(self, user: str, password: str) -> str:
        """By SCRAM-SHA-256. Raises Impostor when the server did not know the password."""
        first = scram_client.open_exchange(user, password)
        message = base64.b64encode(first.message).decode()
        self.send(f'AUTHENTICATE "SCRAM-SHA-256" "{message}"\r\n')
        challenge = self.line()
        if not challenge.startswith('"'):
            return challenge
        proof = first.respond(base64.b64decode(challenge.strip('"\r\n')))
        reply = self.command(f'"{base64.b64encode(proof.message).decode()}"')
        if said := re.match(r'OK \(SASL "([^"]+)"\)', reply):
            proof.verify(base64.b64decode(said[1]))
        return reply

    def at_end(self) -> bool:
        """Whether the server hangs up now without another word."""
        try:
            return not self._file.read(1)
        except ConnectionError:
            return True
