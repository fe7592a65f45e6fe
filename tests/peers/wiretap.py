"""A wire between a client and a server that shows whether the client pipelines (RFC 2920).

It holds back the reply to the first RCPT until the client has said DATA: a client that waits for
replies never comes that far. (Courier waits for the one to MAIL.) STARTTLS is not to be seen
through it, lest there be nothing to read.
"""

import socket
import threading
from contextlib import suppress
from typing import Self

# For a client that does not pipeline, the reply comes after so many seconds.
PATIENCE = 10.0


class Wiretap:
    """Listens on `port` and passes everything on to the server on another port of this host."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.pipelined = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        # Closing alone does not wake the thread that waits in accept().
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                tapped = _Tapped(client, server, self)
                threading.Thread(target=tapped.commands, daemon=True).start()
                threading.Thread(target=tapped.replies, daemon=True).start()


class _Tapped:
    """One connection through the wiretap."""

    def __init__(self, client: socket.socket, server: socket.socket, tap: Wiretap) -> None:
        self._client, self._server, self._tap = client, server, tap
        self._said = b""
        self._said_data = threading.Event()

    def commands(self) -> None:
        with suppress(OSError):
            while octets := self._client.recv(65536):
                # The server must not answer to what is not on record yet.
                self._said += octets.upper()
                if b"\r\nDATA\r\n" in self._said:
                    self._said_data.set()
                self._server.sendall(octets)
        self._hang_up()

    def replies(self) -> None:
        held = False
        with suppress(OSError):
            while octets := self._server.recv(65536):
                if not held and b"RCPT TO:" in self._said:
                    held = True
                    self._tap.pipelined |= self._said_data.wait(PATIENCE)
                self._client.sendall(octets.replace(b"STARTTLS", b"XNOTHING"))
        self._said_data.set()
        self._hang_up()

    def _hang_up(self) -> None:
        for sock in (self._client, self._server):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
