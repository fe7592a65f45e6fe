"""The other end of the milter protocol: a milter that says what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class FakeMilter:
    """Answers each command as `answers` says, by its letter or by letter and data; else "c"."""

    answers: dict[bytes, list[bytes]] = field(default_factory=dict)
    version: int = 6
    steps: int = 0
    heard: list[bytes] = field(default_factory=list)
    offered: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            packet = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
            if packet[:1] == b"O":
                self.offered = packet[1:]
                words = (self.version, 0x1FF, self.steps)
                answers = [b"O" + b"".join(word.to_bytes(4, "big") for word in words)]
            else:
                self.heard.append(packet)
                if packet == b"Q":
                    return
                answers = [] if packet[:1] == b"D" else [b"c"]
                answers = self.answers.get(packet, self.answers.get(packet[:1], answers))
            for answer in answers:
                writer.write(len(answer).to_bytes(4, "big") + answer)
            await writer.drain()

    def commands(self) -> bytes:
        """The letters of what was said, without macros."""
        return b"".join(packet[:1] for packet in self.heard if packet[:1] != b"D")

    def macros(self, command: bytes) -> dict[str, str]:
        (packet,) = [p for p in self.heard if p[:2] == b"D" + command]
        words = packet[2:].decode().split("\0")[:-1]
        return dict(zip(words[::2], words[1::2], strict=True))


@asynccontextmanager
async def listening(
    path: Path, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[None]:
    sessions: list[asyncio.Task[None] | None] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(connected, path)
    try:
        yield
    finally:
        server.close()
        # It has heard all only when it has seen the end.
        await asyncio.gather(*filter(None, sessions))
