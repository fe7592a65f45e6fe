"""A web server on loopback, without TLS unless it has a certificate, that answers requests one
after the other on a kept connection with what the test says."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from tests.support.sink import server_context


@dataclass(frozen=True)
class Received:
    """A request as it came; the names of fields are in lower case."""

    line: str
    fields: dict[str, str]
    body: bytes
    connection: int


def reply(status: str = "200 OK", body: bytes = b"", *fields: str, kind: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class WebServer:
    """`answer` makes the pieces that are sent for a request; with None it closes instead, and a
    `threading.Event` among the pieces is waited for. `requests` holds what came.

    Without `keeps` it closes after an answer, without `reads_body` before it has read all.
    """

    def __init__(
        self,
        answer: Callable[[Received], Iterable[object] | None],
        pair: tuple[bytes, bytes] | None = None,
        *,
        reads_body: bool = True,
        keeps: bool = True,
    ) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.connections = 0
        self._reads_body = reads_body
        self._keeps = keeps and reads_body
        self._context = server_context(pair) if pair else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            arguments = (connection, self.connections)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection, connection.makefile("rb") as reader:
                while self._serve_one(connection, reader, number):
                    pass
        except (OSError, ssl.SSLError, ValueError):
            pass

    def _serve_one(self, connection: socket.socket, reader, number: int) -> bool:
        line = reader.readline().decode().strip()
        if not line:
            return False
        fields: dict[str, str] = {}
        while text := reader.readline().decode().strip():
            name, _, value = text.partition(":")
            fields[name.lower()] = value.strip()
        body = reader.read(int(fields["content-length"])) if self._reads_body else b""
        received = Received(line, fields, body, number)
        self.requests.append(received)
        pieces = self.answer(received)
        for piece in pieces or ():
            if isinstance(piece, threading.Event):
                piece.wait(60)
            else:
                connection.sendall(piece)  # type: ignore[arg-type]
        return pieces is not None and self._keeps
