"""A real ingress inside the test process, and a client that says exactly what a test wants.

The ingress runs in a thread with the event loop of the appliance, on free loopback ports, against
the test's database. Dialogs may be kept as data in tests/data/dialogs (`play`).
"""

import asyncio
import base64
import json
import re
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from django.db import connection

from mta import models, runtime
from mta.ingress.doors import open_door
from mta.ingress.house import House, Listener
from mta.ingress.server import Connection
from mta.models import AccessRule, Mailbox, Settings

Value = TypeVar("Value")

SECONDS = 30.0
LISTENERS = (
    Listener("smtp"),
    Listener("submission", auth_required=True),
    Listener("smtps", auth_required=True, implicit_tls=True),
)


class Ingress:
    """A running ingress; `connect()` opens a session. `house` is what its sessions share."""

    def __init__(
        self, house: House, ports: dict[str, int], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.house = house
        self._ports = ports
        self._loop = loop

    def port(self, listener: str) -> int:
        return self._ports[listener]

    def run(self, act: Coroutine[Any, Any, Value]) -> Value:
        """Carry it out in the loop of the ingress."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result()

    def connect(self, listener: str = "smtp", *, greet: bool = True) -> "Client":
        """A session that has read the banner and, with `greet`, said EHLO."""
        client = Client(socket.create_connection(("127.0.0.1", self.port(listener)), SECONDS))
        if listener == "smtps":
            client.wrap()
        if greet:
            assert client.reply().startswith("220 ")
            client.command("EHLO client.example.org")
        return client


@contextmanager
def running_ingress(tls: ssl.SSLContext | None = None) -> Iterator[Ingress]:
    """Serve until the end of the block; the directory and the id maker are new."""
    runtime.directory.cache_clear()
    runtime.id_maker.cache_clear()
    house = runtime.ingress_house()
    house.tls = tls
    ports: dict[str, int] = {}
    ready, stop = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, house, ports, ready, stop), daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    try:
        yield Ingress(house, ports, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(SECONDS)
        runtime.directory.cache_clear()
        disconnect_others()


def disconnect_others() -> None:
    """End every connection to the test's database but our own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )


@contextmanager
def database_away() -> Iterator[None]:
    """In the block the database cannot be reached, except by connections of this thread."""
    connection.ensure_connection()
    known = connection.settings_dict["HOST"]
    connection.settings_dict["HOST"] = "/nowhere"
    disconnect_others()
    try:
        yield
    finally:
        connection.settings_dict["HOST"] = known


def _run(
    loop: asyncio.AbstractEventLoop,
    house: House,
    ports: dict[str, int],
    ready: threading.Event,
    stop: asyncio.Event,
) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_serve(house, ports, ready, stop))


async def _serve(
    house: House, ports: dict[str, int], ready: threading.Event, stop: asyncio.Event
) -> None:
    sessions: set[Connection] = set()
    servers = []
    for listener in LISTENERS:
        if listener.implicit_tls and house.tls is None:
            continue
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        ports[listener.name] = sock.getsockname()[1]
        servers.append(await open_door(house, listener, sock, sessions))
    ready.set()
    await stop.wait()
    for server in servers:
        server.close()
    for session in tuple(sessions):
        if session.transport is not None:
            session.transport.abort()
    await asyncio.wait_for(house.committer.drain(), SECONDS)
    house.committer.close()
    house.gate.close()


class Hangup(Exception):
    """The server closed the connection."""


class Client:
    """The client's side of one connection. Replies are given as text, lines joined by newline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes | str) -> None:
        """As it stands: nothing is added."""
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def reply(self) -> str:
        """The next reply. Raises Hangup."""
        lines = []
        while True:
            line = self._line()
            lines.append(line)
            assert re.match(r"\d{3}[ -]", line), f"not a reply: {line!r}"
            if line[3] == " ":
                return "\n".join(lines)

    def command(self, line: str) -> str:
        """Send one line and give its reply."""
        self.send(line + "\r\n")
        return self.reply()

    def commands(self, *lines: str) -> list[str]:
        """All in one packet (RFC 2920); gives one reply for each."""
        self.send("".join(f"{line}\r\n" for line in lines))
        return [self.reply() for _ in lines]

    def mail(
        self,
        *recipients: str,
        content: bytes = b"Subject: x\r\n\r\nx\r\n",
        sender: str = "a@b.example",
    ) -> str:
        """A whole transaction; the reply to the final dot, or to what was refused."""
        opened = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"]
        for line in opened:
            reply = self.command(line)
            if reply[0] not in "23":
                return reply
        self.send(content + b".\r\n")
        return self.reply()

    def login(self, user: str, password: str) -> str:
        """AUTH PLAIN with an initial response."""
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {response}")

    def starttls(self) -> None:
        assert self.command("STARTTLS").startswith("220 ")
        self.wrap()

    def wrap(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._buffer = b""
        self.sock = context.wrap_socket(self.sock)

    def at_end(self) -> bool:
        """Whether the server hangs up now without another word."""
        try:
            return not self._buffer and not self.sock.recv(1)
        except ConnectionError:
            return True

    def is_silent(self) -> bool:
        """Whether nothing has come that was not read."""
        self.sock.setblocking(False)
        try:
            return not self._buffer and not self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(SECONDS)

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            try:
                received = self.sock.recv(65536)
            except ConnectionError as error:
                raise Hangup from error
            if not received:
                raise Hangup(f"after {self._buffer!r}")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"a reply must end in CRLF: {line!r}"
        return line[:-1].decode()


def play(script: Path, ingress: Ingress) -> None:
    """Act a dialog. Lines of a script:

    ``# ...``      a remark;
    ``GIVEN x``    what an administrator has set up, see `_given`;
    ``OPEN name``  connect to a listener (without it, to smtp);
    ``C: text``    the client's line; lines in a row go in one packet;
    ``S: 250...``  the next reply must be this; ``...`` is anything, `` | `` a line break;
    ``TLS``        the handshake, after STARTTLS;
    ``BYE``        the server must have hung up.
    """
    client: Client | None = None
    packet = b""
    for number, line in enumerate(script.read_text().splitlines(), 1):
        kind, _, text = line.partition(" ")
        where = f"{script.name}:{number}"
        if kind in ("", "#"):
            continue
        if kind == "OPEN":
            client = ingress.connect(text, greet=False)
            continue
        if kind == "GIVEN":
            _given(text)
            continue
        client = client or ingress.connect(greet=False)
        if kind == "C:":
            packet += text.encode() + b"\r\n"
            continue
        if packet:
            client.send(packet)
            packet = b""
        if kind == "S:":
            _expect(client, text, where)
        elif kind == "TLS":
            client.wrap()
        elif kind == "BYE":
            assert client.at_end(), f"{where}: the connection is still open"
        else:
            raise AssertionError(f"{where}: what is {kind}?")
    assert not packet, f"{script.name} ends with something said and no answer awaited"
    if client is not None:
        client.close()


def _given(text: str) -> None:
    """``settings NAME=VALUE ...``, or ``access PREFIX``, ``mailbox LOCAL-PART`` or
    ``listener NAME`` with such pairs behind; the values are JSON."""
    what, *words = text.split()
    values = {
        name: json.loads(value)
        for name, equals, value in (word.partition("=") for word in words)
        if equals
    }
    if what == "settings":
        Settings.objects.update(**values)
    elif what == "access":
        AccessRule.objects.update_or_create(prefix=words[0], defaults=values)
    elif what == "mailbox":
        Mailbox.objects.filter(local_part=words[0]).update(**values)
    else:
        assert what == "listener", f"what is given by {what}?"
        models.Listener.objects.update_or_create(name=words[0], defaults=values)


def _expect(client: Client, pattern: str, where: str) -> None:
    reply = client.reply().replace("\n", " | ")
    expression = ".*".join(re.escape(part) for part in pattern.split("..."))
    assert re.fullmatch(expression, reply), f"{where}: expected {pattern!r}, got {reply!r}"
