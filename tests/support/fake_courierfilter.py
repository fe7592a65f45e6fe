"""A program made for Courier's filters, which says what a test wants."""

import asyncio
import stat
from pathlib import Path


class FakeFilter:
    """Reads the question and the files that it names, and says what it was given to say."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = 0
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = await reader.readuntil(b"\n\n")
        finally:
            self.asked += 1
        for line in question.decode().splitlines()[:-1]:
            path = Path(line)
            self.files[path.name] = path.read_bytes()
            for each in (path, path.parent):
                self.modes[each.name] = stat.S_IMODE(each.stat().st_mode)
        writer.write(self.answer)
        await writer.drain()
        writer.close()
