"""SMTP smuggling: no ending but CRLF.CRLF ends a message, wherever the packets are cut.

Each malformed ending is sent inside a message, followed by the commands of a second one. On port
25 the message is refused or stays one message; from a user it is mended, and stays one message.
"""

import base64

import pytest

from mta.ingress.house import Listener
from mta.models import Content, Message, Recipient
from tests.ingress.conftest import PASSWORD
from tests.support.packets import Peer
from tests.support.smtp_session import Ingress

MALFORMED = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n",
    "CRLF-NUL.CRLF": b"\r\n\x00.\r\n",
    "LFCR.CRLF": b"\n\r.\r\n",
}
BEGIN = b"Subject: one\r\n\r\none"
SMUGGLED = (
    b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<ann@example.test>\r\nDATA\r\nSubject: evil\r\n\r\n"
)
ENVELOPE = b"MAIL FROM:<bob@example.test>\r\nRCPT TO:<bob@example.test>\r\n"


class Sender(Peer):
    """Sends the same message again and again."""

    async def begin(self, *, user: bool) -> None:
        await self.transport.reply()
        await self.command(b"EHLO client.example.org")
        if user:
            response = base64.b64encode(f"\0bob@example.test\0{PASSWORD}".encode())
            assert (await self.command(b"AUTH PLAIN " + response)).startswith(b"235")

    async def message(self, verb: bytes, packets: list[bytes]) -> bytes:
        """The reply to a whole message; afterwards the session must be in step."""
        await self.send(ENVELOPE + verb + b"\r\n")
        expected = [b"250", b"250", b"354"] if verb == b"DATA" else [b"250", b"250"]
        assert [(await self.transport.reply())[:3] for _ in expected] == expected
        await self.send(*packets)
        reply = await self.transport.reply()
        assert (await self.command(b"NOOP")).startswith(b"250")
        assert not self.transport.heard
        return reply


def splits(content: bytes) -> list[list[bytes]]:
    """Whole, octet by octet, and cut in two at every place."""
    cut = [[content[:at], content[at:]] for at in range(1, len(content))]
    return [[content], [content[at : at + 1] for at in range(len(content))], *cut]


async def send_all(ingress: Ingress, listener: Listener, content: bytes, verb: str) -> set[bytes]:
    """The replies to a message, each time cut elsewhere."""
    peer = Sender(ingress, listener)
    await peer.begin(user=listener.auth_required)
    sent = content + b"\r\n.\r\n" if verb == "DATA" else content
    command = b"DATA" if verb == "DATA" else b"BDAT %d LAST" % len(content)
    replies = {await peer.message(command, packets) for packets in splits(sent)}
    peer.hang_up()
    return replies


@pytest.fixture
def patient(ingress, change) -> Ingress:
    change(maxerrors=10_000, auth_in_clear_on_loopback=True)
    return ingress


@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
@pytest.mark.parametrize("ending", MALFORMED.values(), ids=MALFORMED)
def test_a_stranger_smuggles_nothing(patient, ending, verb):
    content = BEGIN + ending + SMUGGLED
    replies = patient.run(send_all(patient, Listener("smtp"), content, verb))
    # Only the ending that has no lone CR or LF may be taken for what it is: text.
    expected = b"2" if ending == MALFORMED["CRLF-NUL.CRLF"] else b"550 5.6.11 "
    assert {reply[: len(expected)] for reply in replies} == {expected}
    assert_one_message_each(len(splits(content)) if expected == b"2" else 0, verb)


@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
@pytest.mark.parametrize("ending", MALFORMED.values(), ids=MALFORMED)
def test_what_a_user_sends_is_mended_and_stays_one_message(patient, ending, verb):
    content = BEGIN + ending + SMUGGLED
    listener = Listener("submission", auth_required=True)
    replies = patient.run(send_all(patient, listener, content, verb))
    assert {reply[:10] for reply in replies} == {b"250 2.0.0 "}
    assert_one_message_each(len(splits(content)), verb)


@pytest.mark.parametrize("listener", [Listener("smtp"), Listener("submission", auth_required=True)])
def test_the_true_ending_is_found_at_every_cut(patient, listener):
    replies = patient.run(send_all(patient, listener, b"Subject: one\r\n\r\none", "DATA"))
    assert {reply[:10] for reply in replies} == {b"250 2.0.0 "}


def assert_one_message_each(count: int, verb: str) -> None:
    # With DATA the true ending is sent too, and cut in its five places.
    expected = count + 5 if count and verb == "DATA" else count
    assert Message.objects.count() == expected
    assert not Recipient.objects.exclude(address="bob@example.test").exists()
    for content in Content.objects.iterator():
        data = bytes(content.data)
        lines = data.count(b"\r\n")
        assert data.count(b"\r") == data.count(b"\n") == lines
