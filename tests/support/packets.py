"""A session without a network: the packets arrive exactly as a test cuts them.

`Peer` lives in the loop of the ingress (`Ingress.run`).
"""

import asyncio
import re

from mta.ingress.house import Listener
from mta.ingress.session import Session
from mta.ingress.vocabulary import VERBS
from tests.support.smtp_session import SECONDS, Ingress

REPLY = re.compile(rb"(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n")


class Memory(asyncio.Transport):
    """A connection without a network: packets arrive exactly as they are cut."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.heard = b""
        self.news = asyncio.Event()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.heard += bytes(data)
        self.news.set()

    def close(self) -> None:
        self.is_closed = True
        self.news.set()

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    async def reply(self) -> bytes:
        while not (match := REPLY.match(self.heard)):
            assert not self.is_closed, "the session ended"
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), SECONDS)
        self.heard = self.heard[match.end() :]
        return match[0]


class Peer:
    """A client in the loop of the ingress, whose every packet is read before the next comes."""

    def __init__(self, ingress: Ingress, listener: Listener) -> None:
        self.transport = Memory()
        self.session = Session(ingress.house, listener, set(), VERBS)
        self.session.connection_made(self.transport)

    async def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.session.data_received(packet)
            for _ in range(3):
                await asyncio.sleep(0)

    async def command(self, line: bytes) -> bytes:
        await self.send(line + b"\r\n")
        return await self.transport.reply()

    async def replies(self, count: int) -> list[bytes]:
        return [await self.transport.reply() for _ in range(count)]

    def hang_up(self) -> None:
        self.session.connection_lost(None)
