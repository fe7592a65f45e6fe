"""Exim sends to us and receives from us, with PRDR."""

import re
from collections.abc import Iterator

import pytest

from tests.peers.conftest import ANNA, run_peer
from tests.peers.contract import GREETINGS, PeerContract, VerdictContract, send_to_peer
from tests.peers.exim import Exim
from tests.peers.letters import arrived, letter
from tests.peers.peer import Peer
from tests.support.appliance import Appliance


@pytest.fixture(scope="module")
def peer(site: Appliance) -> Iterator[Peer]:
    yield from run_peer(Exim, site)


class TestExim(PeerContract, VerdictContract):
    ASKS_FOR_VERDICTS = True

    def test_we_pipeline_and_declare_eight_bit_text(self, site: Appliance, peer: Peer) -> None:
        """Exim's log says both: L without a minus, and M8S."""
        mail = letter(GREETINGS)
        send_to_peer(site, [peer.address("bob")], mail, ["BODY=8BITMIME"])
        arrived(peer.maildir("bob"), mail)
        token = re.escape(mail.token.decode())
        (line,) = re.findall(rf".* <= {ANNA} .*id={token}@.*", peer.log())
        assert re.search(r" L[.*]? ", line)
        assert " M8S=8 " in line
