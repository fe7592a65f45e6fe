"""Every registered transport keeps the contract."""

import os
import pwd
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mta.protocol.program import Program
from mta.protocol.webhook import Webhook
from mta.transports import registry
from mta.transports.base import DeliveryRequest
from tests.support.web import WebServer, reply
from tests.transports.contract import Book, check_settings, check_transport, context


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A loopback port that is bound and does not listen: connections are refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def nexthop_for(name: str, port: int) -> str:
    nexthops = {
        "esmtp": f"relay:[127.0.0.1]:{port}",
        "lmtp": f"lmtp:[127.0.0.1]:{port}",
        "uucp": "uucp:apple",
        "pipe": "pipe:archive",
        "http": "http:app",
    }
    return nexthops.get(name, "")


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_reports_once_on_every_recipient(name, tmp_path, closed_port):
    check_transport(registry.get(name), nexthop_for(name, closed_port), context(tmp_path))


def test_reports_once_on_what_is_piped_and_posted(tmp_path):
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    program = Program("archive", ("/bin/cat",), user=user, separately=False)
    with WebServer(lambda request: [reply()]) as server:
        webhook = Webhook("app", f"http://127.0.0.1:{server.port}/", "secret", private=True)
        working = replace(
            context(tmp_path), program=lambda name: program, webhook=lambda name: webhook
        )
        check_transport(registry.get("pipe"), "pipe:archive", working)
        check_transport(registry.get("http"), "http:app", working)
        assert len(server.requests) == 2


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_nothing_to_deliver_is_no_outcome(name, tmp_path, closed_port):
    request = DeliveryRequest(name, nexthop_for(name, closed_port), ())
    assert list(registry.get(name).deliver(request, context(tmp_path))) == []


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_settings_make_sense(name):
    check_settings(registry.get(name))


def test_each_address_has_one_taker():
    book = Book(
        mailboxes=["ann@example.com"],
        nexthops={
            "x@example.org": "relay:[127.0.0.1]:25",
            "kept@example.net": "lmtp:/run/lmtp",
            "far@example.net": "uucp:apple",
            "trap@example.net": "discard:",
            "archive@example.net": "pipe:archive",
            "app@example.net": "http:app",
        },
    )

    def taker(address: str) -> tuple[str, str] | None:
        for transport in registry.by_priority():
            nexthop = transport.claim(address, book)
            if nexthop is not None:
                return transport.name, nexthop
        return None

    assert taker("ann@example.com") == ("local", "")
    assert taker("trap@example.net") == ("discard", "discard:")
    assert taker("kept@example.net") == ("lmtp", "lmtp:/run/lmtp")
    assert taker("far@example.net") == ("uucp", "uucp:apple")
    assert taker("archive@example.net") == ("pipe", "pipe:archive")
    assert taker("app@example.net") == ("http", "http:app")
    assert taker("x@example.org") == ("esmtp", "relay:[127.0.0.1]:25")
