"""Postfix sends to us and receives from us."""

import re
from collections.abc import Iterator

import pytest

from tests.peers.conftest import ANNA, BERT, run_peer
from tests.peers.contract import GREETINGS, PeerContract, send_from_peer, send_to_peer
from tests.peers.letters import arrived, letter
from tests.peers.peer import Peer
from tests.peers.postfix import Postfix
from tests.support.appliance import Appliance


@pytest.fixture(scope="module")
def peer(site: Appliance) -> Iterator[Peer]:
    yield from run_peer(Postfix, site)


class TestPostfix(PeerContract):
    def test_it_pipelines(self, site: Appliance, peer: Peer) -> None:
        """Its log has the dialogue: DATA went out before the reply to MAIL came in."""
        mail = letter()
        before = len(peer.log())
        send_from_peer(peer, [ANNA, BERT], mail)
        arrived(site.maildir(ANNA), mail)
        dialogue = re.findall(r"smtp\[\d+\]: [<>] \S+: (.*)", peer.log()[before:])
        first_reply = next(n for n, text in enumerate(dialogue) if text.startswith("250 2.1."))
        assert dialogue.index("DATA") < first_reply

    def test_it_hears_our_parameters(self, site: Appliance, peer: Peer) -> None:
        mail = letter(GREETINGS)
        bob = peer.address("bob")
        before = len(peer.log())
        send_to_peer(site, [bob], mail, ["BODY=8BITMIME", "RET=HDRS"], ["NOTIFY=SUCCESS,DELAY"])
        arrived(peer.maildir("bob"), mail)
        heard = re.findall(r"smtpd\[\d+\]: < \S+: (.*)", peer.log()[before:])
        (mail_from,) = (line.split() for line in heard if line.startswith(f"MAIL FROM:<{ANNA}>"))
        (rcpt_to,) = (line.split() for line in heard if line.startswith(f"RCPT TO:<{bob}>"))
        assert {"BODY=8BITMIME", "RET=HDRS"} <= set(mail_from)
        assert "NOTIFY=SUCCESS,DELAY" in rcpt_to
