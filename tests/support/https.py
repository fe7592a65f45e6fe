"""A web server with TLS on loopback that answers every request with the same octets."""

import socket
import ssl
import threading
from typing import Self

from tests.support.sink import server_context


def page(body: bytes, *, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    """A whole answer. `more` are further header lines, each with CRLF."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Connection: close\r\n\r\n"
    return head.encode() + body


class HttpsServer:
    """`requests` holds what came. `answer` may be changed while it runs; None keeps silent.

    With `drip` it sends the answer one octet at a time, for as long as somebody reads.
    """

    def __init__(self, pair: tuple[bytes, bytes], answer: bytes | None) -> None:
        self.answer = answer
        self.drip = False
        self.requests: list[bytes] = []
        self._context = server_context(pair)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self.requests.append(secured.recv(65536))
                if self.answer is None:
                    self._stopping.wait(30)
                elif self.drip:
                    self._drip(secured, self.answer)
                else:
                    secured.sendall(self.answer)
        except (OSError, ssl.SSLError):
            pass

    def _drip(self, secured: ssl.SSLSocket, answer: bytes) -> None:
        for octet in answer:
            if self._stopping.wait(0.02):
                return
            secured.sendall(bytes([octet]))
