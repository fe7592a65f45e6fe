"""Courier sends to us and receives from us, with its own extensions XVERP and XEXDATA."""

import re
from collections.abc import Iterator

import pytest

from tests.peers.conftest import ANNA, BERT, PASSWORD, SMALL, run_peer
from tests.peers.contract import (
    GREETINGS,
    LINES,
    PeerContract,
    VerdictContract,
    return_path,
    send_from_peer,
    send_to_peer,
)
from tests.peers.courier import Courier
from tests.peers.letters import arrived, letter, report
from tests.peers.peer import Peer
from tests.peers.wiretap import Wiretap
from tests.support.appliance import Appliance


@pytest.fixture(scope="module")
def peer(site: Appliance) -> Iterator[Peer]:
    yield from run_peer(Courier, site)


class TestCourier(PeerContract, VerdictContract):
    # It understands 558 but never says EXDATA.
    ASKS_FOR_VERDICTS = False

    def test_verp_is_passed_on(self, site: Appliance, peer: Peer) -> None:
        """One transaction from the plain sender; the rest is Courier's work."""
        mail = letter()
        people = [peer.address("bob"), peer.address("carla")]
        before = len(peer.log())
        send_to_peer(site, people, mail, ["VERP"])
        for name in ("bob", "carla"):
            arrived(peer.maildir(name), mail)
        (command,) = re.findall(r"MAIL FROM:.*", peer.log()[before:])
        assert command.startswith(f"MAIL FROM:<{ANNA}> ")
        assert "VERP" in command.split()

    def test_verp_comes_to_us(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        send_from_peer(peer, [ANNA, BERT], mail, ["VERP"])
        for name in ("anna", "bert"):
            stored = arrived(site.maildir(f"{name}@example.test"), mail)
            assert return_path(stored) == f"alice-{name}=example.test@{peer.domain}"

    def test_it_understands_our_verdicts(self, site: Appliance, peer: Courier) -> None:
        """It never asks, so it is told unasked where its access rule says so; then it reports
        who did not take the message, and we do not."""
        mail = letter(LINES)
        site.manage("access", "set", "127.0.0.1", "allow", "--exdata")
        try:
            send_from_peer(peer, [ANNA, SMALL], mail)
            failure = report(peer.maildir("alice"), mail, "failed")
        finally:
            site.manage("access", "remove", "127.0.0.1")
        arrived(site.maildir(ANNA), mail)
        assert failure.message["Reporting-MTA"] == f"dns; {peer.hostname}"
        assert SMALL in failure.recipient["Final-Recipient"]
        assert "552 5.3.4" in failure.recipient["Diagnostic-Code"]

    def test_we_declare_eight_bit_text(self, site: Appliance, peer: Peer) -> None:
        mail = letter(GREETINGS)
        before = len(peer.log())
        send_to_peer(site, [peer.address("bob")], mail, ["BODY=8BITMIME"])
        arrived(peer.maildir("bob"), mail)
        (command,) = re.findall(r"MAIL FROM:.*", peer.log()[before:])
        assert "BODY=8BITMIME" in command.split()

    def test_it_pipelines(self, site: Appliance, peer: Courier) -> None:
        mail = letter()
        site.manage("domain", "add", "tapped.test")
        people = ["dora@tapped.test", "emil@tapped.test"]
        for address in people:
            site.manage("mailbox", "add", address, "--password", PASSWORD)
        with Wiretap(site.ports["SMTP"]) as tap:
            peer.route("tapped.test", tap.port)
            send_from_peer(peer, people, mail)
            for address in people:
                arrived(site.maildir(address), mail)
        assert tap.pipelined

    def test_we_pipeline(self, site: Appliance, peer: Courier) -> None:
        mail = letter()
        with Wiretap(peer.port) as tap:
            site.manage("route", "set", peer.domain, f"127.0.0.1:{tap.port}")
            try:
                send_to_peer(site, [peer.address("bob"), peer.address("carla")], mail)
                for name in ("bob", "carla"):
                    arrived(peer.maildir(name), mail)
            finally:
                site.manage("route", "set", peer.domain, f"127.0.0.1:{peer.port}")
        assert tap.pipelined
