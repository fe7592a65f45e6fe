"""The bytes between an SMTP client and its peer: bounded replies in, whole buffers out.

The peer is a stranger. A reply has a bounded length and a deadline of its own, so that neither
an endless line nor a byte a minute can hold a worker; what cannot be a reply is an error that
callers treat as temporary (RFC 5321 4.2, 4.5.3.1.5, 4.5.3.2).
"""

import _ssl
import re
import socket
import ssl
import time
from typing import Any

from mta.protocol.reply import Reply, parse_reply

MAX_REPLY_LINE = 2048
MAX_REPLY_LINES = 100
_MAX_RAW_LINE = 64 * 1024
_READ_SIZE = 16 * 1024
_REPLY_LINE = re.compile(r"([2-5][0-9][0-9])(?:([ -])(.*))?\Z", re.DOTALL)


class SmtpError(Exception):
    """The session cannot go on. `code` and `status` are those of the reply that this deserves."""

    code = 451
    status = "4.4.2"


class ConnectFailed(SmtpError):
    """No connection."""

    status = "4.4.1"


class PeerGone(SmtpError):
    """The connection broke or fell silent."""


class GarbledReply(SmtpError):
    """What came is no SMTP reply."""

    status = "4.5.0"


class TlsFailed(SmtpError):
    """The handshake did not succeed."""

    status = "4.7.5"


class UntrustedCertificate(TlsFailed):
    """The peer's certificate does not prove the name that was asked for."""


class SmtpStream:
    """A connected socket. `lifetime` in seconds bounds everything that is done with it."""

    def __init__(self, connection: socket.socket, lifetime: float) -> None:
        self._socket = connection
        self._buffer = bytearray()
        self._expires = time.monotonic() + lifetime

    def read_reply(
        self, timeout: float, *, max_lines: int = MAX_REPLY_LINES, per_line: bool = False
    ) -> Reply:
        """The next reply. Raises PeerGone, GarbledReply.

        `timeout` is for the reply as a whole, or with `per_line` for each of its lines.
        """
        deadline = self._deadline(timeout)
        lines: list[str] = []
        code = ""
        while len(lines) < max_lines:
            if per_line:
                deadline = self._deadline(timeout)
            match = _REPLY_LINE.match(self._read_line(deadline))
            if match is None or code not in ("", match[1]):
                raise GarbledReply("the peer answered with something that is not an SMTP reply")
            code = match[1]
            lines.append(match[3] or "")
            if match[2] != "-":
                return parse_reply(int(code), lines)
        raise GarbledReply(f"the peer's reply has more than {max_lines} lines")

    def write(self, data: bytes, timeout: float) -> None:
        """Send all of `data`. Raises PeerGone."""
        try:
            self._arm(self._deadline(timeout))
            self._socket.sendall(data)
        except TimeoutError as error:
            raise PeerGone("the peer does not read what is sent to it") from error
        except OSError as error:
            raise PeerGone(f"the connection broke: {reason(error)}") from error

    def start_tls(self, context: ssl.SSLContext, server_name: str, timeout: float) -> None:
        """Turn to TLS. What the peer sent ahead in clear is dropped (RFC 3207 4.2).

        Raises TlsFailed, after which the stream is of no further use; UntrustedCertificate when
        it was the context's own demands that the peer did not meet.
        """
        self._buffer.clear()
        try:
            self._arm(self._deadline(timeout))
            self._socket = context.wrap_socket(self._socket, server_hostname=server_name)
        except ssl.SSLCertVerificationError as error:
            raise UntrustedCertificate(f"untrusted certificate: {error.verify_message}") from error
        except (OSError, ValueError) as error:
            raise TlsFailed(f"the TLS handshake failed: {reason(error)}") from error

    @property
    def tls(self) -> str:
        """ "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in clear."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return ""
        cipher = self._socket.cipher()
        return f"{self._socket.version()} {cipher[0] if cipher else ''}".strip()

    @property
    def chain(self) -> list[bytes]:
        """What the peer showed in the handshake, in DER, its own certificate first; unverified.

        Python has this as a public method from 3.13 on. Before, the object below has had it since
        3.10; without it (another interpreter) the peer's own certificate is all there is, which
        is enough for DANE-EE, and DANE-TA then fails closed.
        """
        if not isinstance(self._socket, ssl.SSLSocket):
            return []
        below = getattr(self._socket, "_sslobj", None)
        if below is not None and hasattr(below, "get_unverified_chain"):
            return [_der(each) for each in below.get_unverified_chain() or ()]
        own = self._socket.getpeercert(binary_form=True)
        return [own] if own else []

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._expires

    def close(self) -> None:
        self._socket.close()

    def _read_line(self, deadline: float) -> str:
        """One line without its end; a line that is too long is cut, a bare LF ends one too."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > _MAX_RAW_LINE:
                raise GarbledReply("a line of the peer's reply does not end")
            self._buffer += self._receive(deadline)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return _printable(line.removesuffix(b"\r")[:MAX_REPLY_LINE])

    def _receive(self, deadline: float) -> bytes:
        try:
            self._arm(deadline)
            data = self._socket.recv(_READ_SIZE)
        except TimeoutError as error:
            raise PeerGone("the peer did not answer in time") from error
        except OSError as error:
            raise PeerGone(f"the connection broke: {reason(error)}") from error
        if not data:
            raise PeerGone("the peer closed the connection")
        return data

    def _deadline(self, timeout: float) -> float:
        return min(time.monotonic() + timeout, self._expires)

    def _arm(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


def open_stream(address: str, port: int, timeout: float, lifetime: float) -> SmtpStream:
    """Connect to an IP address. Raises ConnectFailed."""
    try:
        connection = socket.create_connection((address, port), timeout)
    except TimeoutError as error:
        raise ConnectFailed("the connection timed out") from error
    except OSError as error:
        raise ConnectFailed(f"no connection: {reason(error)}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SmtpStream(connection, lifetime)


def open_unix_stream(path: str, timeout: float, lifetime: float) -> SmtpStream:
    """Connect to a socket in the file system. Raises ConnectFailed."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
    except (OSError, ValueError) as error:
        connection.close()
        # The kernel says "try again" of a socket that has too many waiting already.
        raise ConnectFailed(f"no connection to the socket: {reason(error)}") from error
    return SmtpStream(connection, lifetime)


def reason(error: Exception) -> str:
    """The short text of a system error, without its number and without machine paths."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _der(certificate: Any) -> bytes:
    return bytes(certificate.public_bytes(_ssl.ENCODING_DER))


def _printable(line: bytes) -> str:
    """Text that a log, a database and a report can take: no control characters, no surrogates."""
    text = line.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in text)
