"""Every order of commands: each gets the one reply that a small model of a session expects."""

import itertools

import pytest

from mta.ingress.house import Listener
from mta.models import Message, Recipient
from tests.support.packets import Peer
from tests.support.smtp_session import Ingress

COMMANDS = {
    "EHLO": b"EHLO client.example.org\r\n",
    "MAIL": b"MAIL FROM:<a@b.example>\r\n",
    "RCPT": b"RCPT TO:<bob@example.test>\r\n",
    "DATA": b"DATA\r\n",
    "CHUNK": b"BDAT 6\r\nQUIT\r\n",
    "BDAT": b"BDAT 8 LAST\r\n\r\nQUIT\r\n",
    "RSET": b"RSET\r\n",
    "QUIT": b"QUIT\r\n",
}


class Model:
    """What a session knows, and the replies that follow from it (RFC 5321 4.1.4, RFC 3030 2)."""

    def __init__(self, *, greeted: bool) -> None:
        self.greeted = greeted
        self.taken = 0
        self.forget()

    def forget(self) -> None:
        self.mail = self.rcpt = self.chunks = False

    def answer(self, command: str) -> str:
        match command:
            case "EHLO":
                self.greeted = True
                self.forget()
            case "RSET":
                self.forget()
            case "QUIT":
                return "221"
            case "MAIL":
                if self.mail or not self.greeted:
                    return "503"
                self.mail = True
            case "RCPT":
                if not self.mail or self.chunks:
                    return "503"
                self.rcpt = True
            case _:
                return self._content(command)
        return "250"

    def _content(self, command: str) -> str:
        if not self.mail or (command == "DATA" and self.chunks):
            return "503"
        if not self.rcpt:
            return "554"
        if command == "CHUNK":
            self.chunks = True
            return "250"
        self.taken += 1
        self.forget()
        return "354" if command == "DATA" else "250"


async def speak(ingress: Ingress, commands: tuple[str, ...], *, greeted: bool) -> int:
    """One session of these commands; gives the number of messages that were taken."""
    peer = Peer(ingress, Listener("smtp"))
    model = Model(greeted=greeted)
    await peer.replies(1)
    if greeted:
        await peer.command(b"EHLO client.example.org")
    for command in commands:
        await peer.send(COMMANDS[command])
        (reply,) = await peer.replies(1)
        expected = model.answer(command)
        assert reply.decode()[:3] == expected, (commands, command, reply)
        if expected == "354":
            await peer.send(b"Subject: x\r\n\r\n.\r\n")
            (reply,) = await peer.replies(1)
            assert reply.startswith(b"250 2.0.0 Ok: queued as "), commands
        if expected == "221":
            break
    assert not peer.transport.heard, commands
    peer.hang_up()
    return model.taken


async def speak_all(ingress: Ingress, length: int, *, greeted: bool) -> int:
    orders = itertools.product(COMMANDS, repeat=length)
    return sum([await speak(ingress, commands, greeted=greeted) for commands in orders])


@pytest.mark.parametrize(("length", "greeted"), [(3, False), (4, True)])
def test_every_order_of_commands(ingress, change, length, greeted):
    change(maxerrors=1000)
    taken = ingress.run(speak_all(ingress, length, greeted=greeted))
    assert Message.objects.count() == taken
    assert Recipient.objects.count() == taken
    assert ingress.house.budget.used == 0
    assert ingress.house.connections.total == 0
