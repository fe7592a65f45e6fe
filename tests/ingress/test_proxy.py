"""Clients behind a balancer that speaks the PROXY protocol."""

import socket
import ssl
from ipaddress import ip_address

import pytest

from mta.ingress import server
from mta.models import AccessRule, Event, Message
from tests.support.smtp_session import SECONDS, Client, Hangup, Ingress
from tests.support.waiting import eventually

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n"
V1_MAPPED = b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.1 40000 25\r\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def v2(source: str, destination: str = "203.0.113.1") -> bytes:
    ends = ip_address(source).packed + ip_address(destination).packed + b"\x9c\x40\0\x19"
    return SIGNATURE + b"\x21\x11" + len(ends).to_bytes(2, "big") + ends


@pytest.fixture
def balanced(ingress) -> Ingress:
    AccessRule.objects.create(prefix="127.0.0.0/8", proxy=True)
    return ingress


@pytest.mark.parametrize(
    ("header", "client_ip", "proxy_ip"),
    [
        (V1, "192.0.2.7", "127.0.0.1"),
        (V1_IPV6, "2001:db8::7", "127.0.0.1"),
        (V1_MAPPED, "192.0.2.7", "127.0.0.1"),
        (v2("192.0.2.7"), "192.0.2.7", "127.0.0.1"),
        (LOCAL, "127.0.0.1", None),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", None),
    ],
)
@pytest.mark.parametrize("listener", ["smtp", "smtps"])
def test_the_client_is_whom_the_balancer_announces(balanced, header, client_ip, proxy_ip, listener):
    with open_with(balanced, listener, header) as client:
        assert client.reply().startswith("220 ")
        client.command("EHLO client.example.org")
        if listener == "smtps":
            assert client.login("bob@example.test", "correct horse").startswith("235")
        assert client.mail("ann@example.test", sender="bob@example.test").startswith("250")
    assert Message.objects.get().client_ip == client_ip
    assert Event.objects.get().data["session"].get("proxy_ip") == proxy_ip
    assert eventually(lambda: balanced.house.connections.total == 0)


def open_with(ingress: Ingress, listener: str, header: bytes) -> Client:
    """A connection that begins with a header; where TLS begins at once, in the same packet."""
    client = Client(socket.create_connection(("127.0.0.1", ingress.port(listener)), SECONDS))
    if listener == "smtps":
        client.sock = TlsBehind(client.sock, header)
    else:
        client.send(header)
    return client


class TlsBehind:
    """TLS on a socket whose first packet has something before it."""

    def __init__(self, sock: socket.socket, before: bytes) -> None:
        self._sock = sock
        self._before = before
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self._until_done(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))

    def recv(self, count: int) -> bytes:
        return self._until_done(lambda: self._tls.read(count))

    def close(self) -> None:
        self._sock.close()

    def _until_done(self, act):
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._send()
                received = self._sock.recv(65536)
                if not received:
                    raise ConnectionResetError from None
                self._incoming.write(received)
            else:
                self._send()
                return result

    def _send(self) -> None:
        octets, self._before = self._before + self._outgoing.read(), b""
        self._sock.sendall(octets)


@pytest.mark.parametrize("listener", ["smtp", "smtps"])
@pytest.mark.parametrize(
    "header",
    [b"EHLO client.example.org\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x00" * 10, b""],
)
def test_a_balancer_that_says_something_else_is_cut_off(balanced, monkeypatch, listener, header):
    monkeypatch.setattr(server, "INTRODUCTION_SECONDS", 0.3)
    with Client(
        socket.create_connection(("127.0.0.1", balanced.port(listener)), SECONDS)
    ) as client:
        client.send(header)
        assert client.at_end()
    assert eventually(lambda: balanced.house.connections.total == 0)


def test_a_balancer_that_hangs_up_leaves_nothing_behind(balanced):
    for listener in ("smtp", "smtps"):
        port = balanced.port(listener)
        with Client(socket.create_connection(("127.0.0.1", port), SECONDS)) as client:
            client.send(b"PROXY TC")
    assert eventually(lambda: balanced.house.connections.total == 0)


def test_only_listed_balancers_are_believed(ingress):
    with ingress.connect(greet=False) as client:
        assert client.reply().startswith("220")
        client.send(V1)
        assert client.reply() == "500 5.5.1 command not recognized"
    with open_with(ingress, "smtp", LOCAL) as client:
        assert client.reply().startswith("220")
        assert client.reply()[:3] == "500"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        open_with(ingress, "smtps", V1)


def test_connections_count_for_the_client_and_not_for_the_balancer(balanced, change):
    change(maxperip=1)
    with open_with(balanced, "smtp", v2("192.0.2.7")) as client:
        assert client.reply().startswith("220")
        with open_with(balanced, "smtp", v2("192.0.2.8")) as other:
            assert other.reply().startswith("220")
        with open_with(balanced, "smtp", v2("192.0.2.7")) as again:
            assert again.reply().startswith("421 4.7.0")


def test_new_connections_of_one_client_are_limited(balanced, change):
    change(maxnewperip=3)
    for expected in ("220", "220", "220", "421"):
        with open_with(balanced, "smtp", v2("192.0.2.9")) as client:
            assert client.reply().startswith(expected)
    with open_with(balanced, "smtp", v2("192.0.2.10")) as client, pytest.raises(Hangup):
        assert client.reply().startswith("220")
        client.command("QUIT")
        client.reply()
