"""Fetches the MTA-STS policy of a domain over HTTPS (RFC 8461 3.3).

The server is a stranger's: what it sends is bounded in size and in time as a whole, its
certificate must name the policy host, and a redirect is a failure.
"""

import io
import socket
import ssl
import time
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse

from mta.protocol.mta_sts import MAX_POLICY
from mta.protocol.printable import printable

PORT = 443
SECONDS = 15.0
_MAX_HEAD = 16 * 1024
_READ_SIZE = 16 * 1024
_MAX_ADDRESSES = 3


class FetchFailed(Exception):
    """No policy came. `untrusted` says that it was the certificate that would not do."""

    def __init__(self, text: str, *, untrusted: bool = False) -> None:
        super().__init__(text)
        self.untrusted = untrusted


def policy_host(domain: str) -> str:
    return f"mta-sts.{domain}"


def fetch(
    domain: str, addresses: Sequence[str], port: int = PORT, seconds: float = SECONDS
) -> bytes:
    """The policy file of `domain` from the first address that gives one. Raises FetchFailed."""
    deadline = time.monotonic() + seconds
    failure = FetchFailed(f"{policy_host(domain)} has no address to ask")
    for address in addresses[:_MAX_ADDRESSES]:
        try:
            return _body(_answer(policy_host(domain), address, port, deadline))
        except FetchFailed as error:
            failure = error
        except ssl.SSLCertVerificationError as error:
            text = f"{policy_host(domain)}: untrusted certificate: {error.verify_message}"
            failure = FetchFailed(text, untrusted=True)
        except TimeoutError:
            failure = FetchFailed(f"{policy_host(domain)} did not answer in time")
        except (OSError, ValueError) as error:
            failure = FetchFailed(
                f"{policy_host(domain)}: {getattr(error, 'reason', None) or error}"
            )
    raise failure


def _answer(host: str, address: str, port: int, deadline: float) -> bytes:
    """Everything that the server sends until it closes."""
    request = (
        f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\n"
        "Accept: text/plain\r\nConnection: close\r\n\r\n"
    )
    connection = socket.create_connection((address, port), _left(deadline))
    with connection:
        connection.settimeout(_left(deadline))
        # Authorities are replaced in place, so the context is made anew.
        context = ssl.create_default_context()
        with context.wrap_socket(connection, server_hostname=host) as secured:
            secured.sendall(request.encode("ascii"))
            return _read_all(secured, deadline)


def _read_all(secured: ssl.SSLSocket, deadline: float) -> bytes:
    data = bytearray()
    while True:
        secured.settimeout(_left(deadline))
        part = secured.recv(_READ_SIZE)
        if not part:
            return bytes(data)
        data += part
        if len(data) > _MAX_HEAD + 2 * MAX_POLICY:
            raise FetchFailed("the answer of the policy host is too long")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Received:
    """What was read, in the form in which `HTTPResponse` wants a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _body(data: bytes) -> bytes:
    response = HTTPResponse(_Received(data), method="GET")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except HTTPException as error:
        raise FetchFailed("the policy host does not speak HTTP") from error
    if response.status != 200:
        raise FetchFailed(f"the policy host answered with HTTP status {response.status}")
    kind = response.headers.get_content_type()
    if kind != "text/plain":
        raise FetchFailed(f"the policy is of type {printable(kind, 60)}, not text/plain")
    if len(body) > MAX_POLICY:
        raise FetchFailed(f"the policy has more than {MAX_POLICY} octets")
    return body
