"""Step 6, http: one connection to a webhook, bounded in time and in what is read.

The name is looked up and the addresses are judged before one of them is connected to, so that the
answer that was judged is the one that is used. Redirects are answers like others.
"""

import contextlib
import io
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any

from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.mx import MxError
from mta.protocol.webhook import Endpoint, ForbiddenAddress, Webhook, check_address, is_ip
from mta.transports.http_request import Request

# Octets of an answer that are looked at.
MAX_ANSWER = 64 * 1024
_CHUNK = 64 * 1024
_MAX_ADDRESSES = 3
_LOOKUP_SECONDS = 10.0
_CUT = "it closed in the middle of its answer"
_LOOPBACK = ("127.0.0.1", "::1")


class NoConnection(Exception):
    """Nothing was sent; the message says why. `misconfigured` is for an administrator to mend."""

    def __init__(self, text: str, *, misconfigured: bool = False) -> None:
        super().__init__(text)
        self.misconfigured = misconfigured


class NoAnswer(Exception):
    """The request was sent, wholly or in part, and no whole answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. `body` is its beginning when `cut`."""

    status: int
    reason: str
    kind: str
    location: str
    retry_after: str
    body: bytes
    cut: bool


class Deadline:
    """The end of the time for one request."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class Connection:
    """Opened when it is first used, and again when the server has closed it."""

    def __init__(self, webhook: Webhook, nameserver: str = "") -> None:
        self._webhook = webhook
        self._endpoint: Endpoint = webhook.endpoint
        self._nameserver = nameserver
        self._socket: socket.socket | None = None
        self._deadline = Deadline(0)

    def open(self) -> None:
        """Begins the time of a request, and connects unless it is connected. Raises
        NoConnection."""
        self._deadline = Deadline(self._webhook.timeout)
        if self._socket is not None and _is_silent(self._socket):
            return
        self.close()
        failure: NoConnection | None = None
        for found in self._addresses():
            try:
                self._socket = self._connect(found)
            except NoConnection as error:
                failure = failure or error
            else:
                return
        raise failure or NoConnection("its host has no address")

    def post(self, request: Request) -> Answer:
        """Sends a request over the connection that is open. Raises NoAnswer."""
        try:
            answer = self._exchange(request)
        except TimeoutError as error:
            self.close()
            text = f"no whole answer came within {self._webhook.timeout:g} seconds"
            raise NoAnswer(text) from error
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise NoAnswer(_trouble(error)) from error
        return answer

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _addresses(self) -> Sequence[str]:
        """Those that may be connected to. Raises NoConnection."""
        try:
            found = self._look_up()
        except MxError as error:
            raise NoConnection(f"{self._endpoint.host}: {error}") from error
        for each in found:
            # One that is forbidden among others is no accident.
            try:
                check_address(self._webhook, each)
            except ForbiddenAddress as error:
                raise NoConnection(str(error), misconfigured=True) from error
        return found[:_MAX_ADDRESSES]

    def _look_up(self) -> Sequence[str]:
        host = self._endpoint.host
        if is_ip(host):
            return (host,)
        if host == "localhost":
            return _LOOPBACK
        lifetime = min(_LOOKUP_SECONDS, self._webhook.timeout)
        try:
            return DnsResolver(self._nameserver, lifetime).addresses(host)
        except ValueError as error:
            raise NoConnection(str(error)) from error

    def _connect(self, found: str) -> socket.socket:
        endpoint = self._endpoint
        try:
            connection = socket.create_connection((found, endpoint.port), self._deadline.left())
        except OSError as error:
            raise NoConnection(f"{found} port {endpoint.port}: {_trouble(error)}") from error
        if not endpoint.secure:
            return connection
        try:
            connection.settimeout(self._deadline.left())
            # Authorities are replaced in place, so the context is made anew.
            context = ssl.create_default_context()
            return context.wrap_socket(connection, server_hostname=endpoint.host)
        except (OSError, ValueError) as error:
            connection.close()
            raise NoConnection(f"{endpoint.host}: {_trouble(error)}") from error

    def _exchange(self, request: Request) -> Answer:
        """Raises OSError, HTTPException, ValueError."""
        assert self._socket is not None
        try:
            self._send(request)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            # It may have said no before it had everything.
            with contextlib.suppress(OSError, HTTPException, ValueError):
                answer = self._receive()
                self.close()
                if answer.status >= 300:
                    return answer
            raise error
        return self._receive()

    def _send(self, request: Request) -> None:
        assert self._socket is not None
        lines = [
            f"POST {self._endpoint.target} HTTP/1.1".encode(),
            f"Host: {self._endpoint.authority}".encode(),
            *(name.encode() + b": " + value for name, value in request.fields.items()),
        ]
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        body = memoryview(request.body)
        # A small message goes in one piece with its header.
        self._send_all(head + body[:_CHUNK])
        for start in range(_CHUNK, len(body), _CHUNK):
            self._send_all(body[start : start + _CHUNK])

    def _send_all(self, piece: bytes | memoryview) -> None:
        assert self._socket is not None
        self._socket.settimeout(self._deadline.left())
        self._socket.sendall(piece)

    def _receive(self) -> Answer:
        assert self._socket is not None
        reader = _Reader(self._socket, self._deadline)
        with contextlib.closing(HTTPResponse(reader, method="POST")) as response:  # type: ignore[arg-type]
            response.begin()
            # A header that ends too early is a whole one to http.client, and so is a body that is
            # read by size.
            if reader.ended:
                raise ConnectionResetError(_CUT)
            body = response.read(MAX_ANSWER + 1)
            is_longer = len(body) > MAX_ANSWER
            if response.length and not is_longer:
                raise ConnectionResetError(_CUT)
            if is_longer or response.will_close:
                self.close()
        return Answer(
            response.status,
            response.reason,
            (response.getheader("Content-Type") or "").partition(";")[0].strip().lower(),
            response.getheader("Location") or "",
            response.getheader("Retry-After") or "",
            body[:MAX_ANSWER],
            is_longer,
        )


class _Reader(io.RawIOBase):
    """A socket as `HTTPResponse` wants it, whose reading ends with the time of the request.

    Closing it leaves the socket open for the next request.
    """

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self.ended = False
        self._connection = connection
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left())
        count = self._connection.recv_into(buffer)
        self.ended = self.ended or not count
        return count


def _is_silent(connection: socket.socket) -> bool:
    """Whether an idle connection is still good: a server that closed it, or that says something
    unasked, makes it readable."""
    connection.settimeout(0)
    try:
        connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def _trouble(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"untrusted certificate: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, RemoteDisconnected):
        return "it closed the connection"
    if isinstance(error, IncompleteRead):
        return _CUT
    if isinstance(error, HTTPException):
        return f"it does not speak HTTP/1.1: {type(error).__name__}"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
