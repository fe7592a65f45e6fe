"""Dovecot takes mail from us by LMTP and says what becomes of it for each recipient."""

from collections.abc import Iterator

import pytest

from tests.peers.conftest import ANNA, run_peer
from tests.peers.contract import DOTS, GREETINGS, LINES, return_path, send_to_peer
from tests.peers.dovecot import FULL, Dovecot
from tests.peers.letters import arrived, letter, report
from tests.support.appliance import Appliance

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def peer(site: Appliance) -> Iterator[Dovecot]:
    yield from run_peer(Dovecot, site)


@pytest.mark.parametrize("body", [GREETINGS, DOTS, LINES * 20], ids=["utf-8", "dots", "big"])
def test_messages_arrive_as_they_are(site: Appliance, peer: Dovecot, body: bytes) -> None:
    mail = letter(body)
    send_to_peer(site, [peer.address("bob")], mail, ["BODY=8BITMIME"])
    stored = arrived(peer.maildir("bob"), mail)
    assert stored.partition(b"\n\n")[2] == mail.body
    assert return_path(stored) == ANNA


def test_who_is_unknown_or_full_is_reported_and_the_others_have_it(
    site: Appliance, peer: Dovecot
) -> None:
    """One refusal comes at RCPT, the other after the final dot; one report tells of both."""
    mail = letter()
    people = [peer.address(name) for name in ("alice", "nobody", FULL, "bob")]
    queue_id = send_to_peer(site, people, mail)
    for name in ("alice", "bob"):
        arrived(peer.maildir(name), mail)
    failures = {
        each["Final-Recipient"]: each["Diagnostic-Code"]
        for each in report(site.maildir(ANNA), mail, "failed").recipients
    }
    assert set(failures) == {f"rfc822; {peer.address(name)}" for name in ("nobody", FULL)}
    assert "550 5.1.1" in failures[f"rfc822; {peer.address('nobody')}"]
    assert "552 5.2.2" in failures[f"rfc822; {peer.address(FULL)}"]
    states = {each["address"]: each["state"] for each in site.trace(queue_id)["recipients"]}
    assert states[peer.address("alice")] == "delivered"
    assert states[peer.address("nobody")] == "failed"


def test_success_is_reported_by_us_as_a_delivery(site: Appliance, peer: Dovecot) -> None:
    mail = letter()
    send_to_peer(site, [peer.address("bob")], mail, recipient_options=["NOTIFY=SUCCESS"])
    success = report(site.maildir(ANNA), mail, "delivered")
    assert success.recipient["Remote-MTA"] == "dns; [127.0.0.1]"


def test_with_verp_each_mailbox_has_its_return_path(site: Appliance, peer: Dovecot) -> None:
    mail = letter()
    send_to_peer(site, [peer.address("alice"), peer.address("bob")], mail, ["VERP"])
    for name in ("alice", "bob"):
        stored = arrived(peer.maildir(name), mail)
        assert return_path(stored) == f"anna-{name}={peer.domain}@example.test"


def test_by_a_socket(site: Appliance, peer: Dovecot) -> None:
    mail = letter()
    site.manage("route", "set", peer.domain, peer.socket)
    try:
        queue_id = send_to_peer(site, [peer.address("alice"), peer.address("nobody")], mail)
        arrived(peer.maildir("alice"), mail)
        failure = report(site.maildir(ANNA), mail, "failed")
    finally:
        site.manage("route", "set", peer.domain, peer.relay)
    assert "550 5.1.1" in failure.recipient["Diagnostic-Code"]
    assert failure.recipient["Remote-MTA"] == f"dns; {site.hostname}"
    assert str(peer.root.path) not in failure.text
    assert site.trace(queue_id)["recipients"][0]["nexthop"] == peer.socket
