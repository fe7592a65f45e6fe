"""One appliance for all peers, with a domain and its people; the logs of both beside a failure."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.peers.packages import NoPeer
from tests.peers.peer import Peer
from tests.support.appliance import ROOT, Appliance
from tests.support.dns import DnsServer

DOMAIN = "example.test"
ANNA, BERT, CARL = "anna@example.test", "bert@example.test", "carl@example.test"
SMALL = "small@example.test"
PASSWORD = "correct horse"
LOG_TAIL = 20_000
# Not in the home of deploy/test, which is gone afterwards. Removed, it is downloaded anew.
CACHE = ROOT / "var" / "peers"
PEER_NAMES = ("postfix", "exim", "courier")
ZONE = {
    **{f"{name}.test": {"MX": [f"10 mail.{name}.test"]} for name in PEER_NAMES},
    **{f"mail.{name}.test": {"A": ["127.0.0.1"]} for name in PEER_NAMES},
    DOMAIN: {"MX": ["10 mail.example.test"]},
    "mail.example.test": {"A": ["127.0.0.1"]},
}


@pytest.fixture(scope="session")
def site() -> Iterator[Appliance]:
    """The appliance with its domain and its people."""
    if os.geteuid() != 0:
        pytest.skip("a peer needs root: it changes accounts and gets a root directory of its own")
    with DnsServer(ZONE) as dns, Appliance(dns.address) as appliance:
        appliance.manage("domain", "add", DOMAIN)
        for address in (ANNA, BERT, CARL, SMALL):
            appliance.manage("mailbox", "add", address, "--password", PASSWORD)
        appliance.manage("mailbox", "set", SMALL, "--sizelimit", "10000")
        yield appliance


def run_peer(kind: type[Peer], site: Appliance) -> Iterator[Peer]:
    """The body of a fixture: the peer, and a route to it. Skips where it cannot be had."""
    with ExitStack() as stack:
        try:
            peer = stack.enter_context(kind(CACHE, DOMAIN, site.ports["SMTP"]))
        except NoPeer as reason:
            pytest.skip(f"no {kind.NAME}: {reason}")
        site.manage("route", "set", peer.domain, peer.relay)
        yield peer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    report = yield
    fixtures = getattr(item, "funcargs", {}).values()
    if report.failed:
        for fixture in fixtures:
            if isinstance(fixture, Appliance):
                report.sections.append(("Logs of the appliance", fixture.log_tail()))
            elif isinstance(fixture, Peer):
                report.sections.append((f"Log of {fixture.NAME}", fixture.log()[-LOG_TAIL:]))
    return report
