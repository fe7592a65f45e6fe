"""A gate before our port that says EXDATA in the name of a client.

Courier's client understands the answer to EXDATA and never says the word, so that its transactions
get one reply for all. Behind this gate it hears what we would tell a client that asks. The gate
hides STARTTLS, since it has to read the commands.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def running(our_port: int) -> Iterator[int]:
    """The port of the gate while it is open."""

    class Passage(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), _connection(our_port) as (answers, commands):
                back = threading.Thread(target=_pass_answers, args=(answers, self.wfile))
                back.start()
                _pass_commands(self.rfile, commands)
                back.join(60)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Passage) as gate:
        gate.daemon_threads = True
        thread = threading.Thread(target=gate.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield gate.server_address[1]
        finally:
            gate.shutdown()


@contextlib.contextmanager
def _connection(port: int) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        yield connection.makefile("rb"), connection.makefile("wb", buffering=0)


def _pass_commands(source: BinaryIO, target: BinaryIO) -> None:
    for line in source:
        if line.upper().startswith(b"MAIL FROM:"):
            line = line.rstrip() + b" EXDATA\r\n"
        target.write(line)


def _pass_answers(source: BinaryIO, target: BinaryIO) -> None:
    with contextlib.suppress(OSError):
        for line in source:
            target.write(line.replace(b"STARTTLS", b"X-HIDDEN"))
