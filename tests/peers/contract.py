"""What must work with every peer, in both directions. A test class inherits it and gives `peer`.

A peer's ALICE writes to our ANNA; ANNA, signed in, writes to the peer's BOB.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

import pytest

from tests.peers.conftest import ANNA, BERT, CARL, PASSWORD, SMALL
from tests.peers.letters import Letter, arrived, body_of, letter, report
from tests.peers.peer import REFUSAL, UNWANTED, Peer
from tests.support.appliance import Appliance, transfer

GREETINGS = "Grüße aus Köln, 東京 και Αθήνα\r\n".encode()
LINES = b"A line of the message.\r\n" * 2000
DOTS = b".\r\n..\r\n.dot\r\n...\r\n" + LINES + b"end.\r\n"


def send_from_peer(
    peer: Peer,
    recipients: Sequence[str],
    mail: Letter,
    options: Sequence[str] = (),
    recipient_options: Sequence[str] = (),
) -> None:
    with peer.smtp() as client:
        sender = peer.address("alice")
        transfer(client, sender, recipients, mail.content, options, recipient_options)


def send_to_peer(
    site: Appliance,
    recipients: Sequence[str],
    mail: Letter,
    options: Sequence[str] = (),
    recipient_options: Sequence[str] = (),
) -> str:
    """The queue id of what ANNA sends."""
    with site.submission(ANNA, PASSWORD) as client:
        return transfer(client, ANNA, recipients, mail.content, options, recipient_options)


def received_by(host: str, stored: bytes) -> str:
    """The newest Received field that the host has added, on one line."""
    header = stored.partition(b"\n\n")[0].decode(errors="replace")
    fields = re.sub(r"\n[ \t]+", " ", header).splitlines()
    return next(f for f in fields if f.startswith("Received:") and f" by {host} " in f)


def return_path(stored: bytes) -> str:
    (path,) = re.findall(rb"(?im)^Return-Path: *<(.*)>", stored.partition(b"\n\n")[0])
    return str(path, "utf-8")


def passed_on(value: str | None) -> str:
    """A field of a peer's report without what peers differ in: xtext decoded or not, blanks."""
    plain = re.sub(r"\+([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), value or "")
    return plain.replace("; ", ";")


@pytest.mark.peers
class PeerContract:
    # Whether the peer asks for a verdict on each recipient after the content, by PRDR or EXDATA.
    ASKS_FOR_VERDICTS: ClassVar[bool] = False

    # --- from the peer to us --------------------------------------------------------------------

    def test_our_report_of_success_reaches_the_peer(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        send_from_peer(
            peer,
            [ANNA],
            mail,
            ["RET=HDRS", "ENVID=from+2Bpeer"],
            ["NOTIFY=SUCCESS", "ORCPT=rfc822;Old+2BAnna@example.test"],
        )
        arrived(site.maildir(ANNA), mail)
        success = report(peer.maildir("alice"), mail, "delivered")
        assert success.message["Reporting-MTA"] == f"dns; {site.hostname}"
        assert success.message["Original-Envelope-Id"] == "from+peer"
        assert success.recipient["Original-Recipient"] == "rfc822; Old+Anna@example.test"
        assert success.recipient["Final-Recipient"] == f"rfc822; {ANNA}"

    def test_our_refusal_is_in_the_report_of_the_peer(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        send_from_peer(peer, ["nosuchperson@example.test"], mail)
        failure = report(peer.maildir("alice"), mail, "failed")
        assert "nosuchperson@example.test" in failure.recipient["Final-Recipient"]
        assert "550 5.1.1" in failure.text

    def test_eight_bit_text_comes_as_it_was_sent(self, site: Appliance, peer: Peer) -> None:
        mail = letter(GREETINGS)
        send_from_peer(peer, [ANNA], mail, ["BODY=8BITMIME"])
        stored = arrived(site.maildir(ANNA), mail)
        assert body_of(stored) == mail.body
        assert b"\nContent-Transfer-Encoding: 8bit\n" in stored

    def test_dots_and_many_lines_come_as_they_were_sent(self, site: Appliance, peer: Peer) -> None:
        mail = letter(DOTS)
        send_from_peer(peer, [ANNA], mail)
        assert body_of(arrived(site.maildir(ANNA), mail)) == mail.body

    def test_the_peer_uses_our_tls(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        send_from_peer(peer, [ANNA], mail)
        received = received_by(site.hostname, arrived(site.maildir(ANNA), mail))
        assert f"from {peer.hostname} " in received
        # Courier asks for SMTPUTF8 always (RFC 6531 3.7.3).
        assert " with ESMTPS " in received or " with UTF8SMTPS " in received

    def test_many_recipients_come_in_one_transaction(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        send_from_peer(peer, [ANNA, BERT, CARL], mail)
        copies = [arrived(site.maildir(address), mail) for address in (ANNA, BERT, CARL)]
        ids = {received_by(site.hostname, copy).partition(" id ")[2].split()[0] for copy in copies}
        assert len(ids) == 1

    def test_one_of_two_here_refuses_the_content(self, site: Appliance, peer: Peer) -> None:
        """SMALL takes no big messages. Whoever hears that tells the sender."""
        mail = letter(LINES)
        send_from_peer(peer, [ANNA, SMALL], mail)
        arrived(site.maildir(ANNA), mail)
        failure = report(peer.maildir("alice"), mail, "failed")
        reporter = peer.hostname if self.ASKS_FOR_VERDICTS else site.hostname
        assert failure.message["Reporting-MTA"] == f"dns; {reporter}"
        assert SMALL in failure.recipient["Final-Recipient"]
        assert "too big for this mailbox" in failure.text
        assert not site.maildir(SMALL).messages(mail.token)

    # --- from us to the peer --------------------------------------------------------------------

    def test_the_peer_reports_success_to_our_user(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        to = peer.address("bob")
        send_to_peer(
            site,
            [to],
            mail,
            ["RET=HDRS", "ENVID=from+2Bus"],
            ["NOTIFY=SUCCESS", f"ORCPT=rfc822;Old+2BBob@{peer.domain}"],
        )
        arrived(peer.maildir("bob"), mail)
        success = report(site.maildir(ANNA), mail, "delivered")
        assert success.message["Reporting-MTA"] == f"dns; {peer.hostname}"
        assert passed_on(success.message["Original-Envelope-Id"]) == "from+us"
        original = passed_on(success.recipient["Original-Recipient"])
        assert original == f"rfc822;Old+Bob@{peer.domain}"
        assert to in success.recipient["Final-Recipient"]

    def test_its_refusal_is_in_our_report(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        bob, unknown = peer.address("bob"), peer.address("nosuchperson")
        send_to_peer(site, [unknown, bob], mail)
        arrived(peer.maildir("bob"), mail)
        failure = report(site.maildir(ANNA), mail, "failed")
        assert failure.message["Reporting-MTA"] == f"dns; {site.hostname}"
        assert failure.recipient["Final-Recipient"] == f"rfc822; {unknown}"
        assert failure.recipient["Diagnostic-Code"].startswith("smtp; 550 ")
        assert "127.0.0.1" in failure.recipient["Remote-MTA"]

    def test_eight_bit_text_goes_as_it_is(self, site: Appliance, peer: Peer) -> None:
        mail = letter(GREETINGS)
        send_to_peer(site, [peer.address("bob")], mail, ["BODY=8BITMIME"])
        stored = arrived(peer.maildir("bob"), mail)
        assert body_of(stored) == mail.body
        assert b"\nContent-Transfer-Encoding: 8bit\n" in stored

    def test_dots_and_many_lines_go_as_they_are(self, site: Appliance, peer: Peer) -> None:
        mail = letter(DOTS)
        send_to_peer(site, [peer.address("bob")], mail)
        assert body_of(arrived(peer.maildir("bob"), mail)) == mail.body

    def test_we_use_its_tls(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        send_to_peer(site, [peer.address("bob")], mail)
        received = received_by(peer.hostname, arrived(peer.maildir("bob"), mail))
        assert " with esmtps " in received.lower()

    def test_many_recipients_go_in_one_transaction(self, site: Appliance, peer: Peer) -> None:
        mail = letter()
        people = ("alice", "bob", "carla")
        send_to_peer(site, [peer.address(name) for name in people], mail)
        copies = [arrived(peer.maildir(name), mail) for name in people]
        received = [received_by(peer.hostname, copy) for copy in copies]
        ids = {field.partition(" id ")[2].split()[0].rstrip(";") for field in received}
        assert len(ids) == 1

    def test_verp(self, site: Appliance, peer: Peer) -> None:
        """Every recipient gets a sender of its own, whether the peer knows of VERP or not."""
        mail = letter()
        people = ("bob", "carla")
        send_to_peer(site, [peer.address(name) for name in people], mail, ["VERP"])
        for name in people:
            stored = arrived(peer.maildir(name), mail)
            assert return_path(stored) == f"anna-{name}={peer.domain}@example.test"


class VerdictContract:
    """For a peer that gives a verdict on each recipient after the content."""

    def test_one_of_two_there_refuses_the_content(self, site: Appliance, peer: Peer) -> None:
        mail = letter(b"Hello\r\n", b"%s: yes" % UNWANTED.encode())
        carla = peer.address("carla")
        send_to_peer(site, [peer.address("bob"), carla], mail)
        arrived(peer.maildir("bob"), mail)
        failure = report(site.maildir(ANNA), mail, "failed")
        assert failure.message["Reporting-MTA"] == f"dns; {site.hostname}"
        assert failure.recipient["Final-Recipient"] == f"rfc822; {carla}"
        assert REFUSAL in failure.recipient["Diagnostic-Code"]
        assert not peer.maildir("carla").messages(mail.token)
        assert len(peer.maildir("bob").messages(mail.token)) == 1
