"""Plays one script against an ingress, and watches what comes back."""

import asyncio
import re
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import cast

from tests.fuzz.script import Abort, Ask, HalfClose, Pause, Script, Send, Step

# For an answer, and for the server to hang up once the client has nothing more to say.
PATIENCE = 60.0
CHUNK = 64 * 1024
# A line of a reply (RFC 5321 4.2); what is after the code may be UTF-8 (RFC 6531 3.7.4.1).
_LINE = re.compile(rb"[2-5][0-9]{2}(?:[ -][^\x00-\x1f\x7f]*)?\r\n\Z")
_RESET = struct.pack("ii", 1, 0)

_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


class Trouble(Exception):
    """The server did what it must never do; the message says what."""


@dataclass(frozen=True)
class Played:
    """How many commands were sent. `trouble` is "" when the server behaved."""

    commands: int
    trouble: str = ""


async def play(script: Script, host: str, port: int, source: str) -> Played:
    """Connect from the address `source`, take every step, and see the server hang up."""
    conversation = _Conversation()
    try:
        async with asyncio.timeout(10 * PATIENCE):
            await conversation.open(script, host, port, source)
            for step in script.steps:
                await conversation.take(step)
            await conversation.end()
    except Trouble as trouble:
        return Played(conversation.commands, str(trouble))
    except TimeoutError:
        return Played(conversation.commands, "the session did not come to its end")
    except (OSError, ssl.SSLError):
        # The server may hang up on nonsense at any time.
        pass
    finally:
        conversation.drop()
    return Played(conversation.commands, conversation.malformed)


class _Conversation(asyncio.Protocol):
    """The client's end of a connection. Everything the server says is read as it comes."""

    def __init__(self) -> None:
        self.commands = 0
        # The first line of the server that is none; it talks TLS where we do not, if `is_deaf`.
        self.malformed = ""
        self._is_deaf = False
        self._is_encrypted = False
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._codes: list[bytes] = []
        self._heard = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._closed = asyncio.Event()

    # --- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if not _LINE.match(line + b"\n"):
                self.malformed = self.malformed or f"this is no reply: {line!r}"
            if line[3:4] != b"-":
                self._codes.append(line[:3])
        if lines:
            self._heard.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        self._heard.set()
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # --- the steps ----------------------------------------------------------------------------

    async def open(self, script: Script, host: str, port: int, source: str) -> None:
        implicit = script.door == "smtps"
        self._is_deaf = implicit and script.in_clear
        await asyncio.get_running_loop().create_connection(
            lambda: self,
            host,
            port,
            local_addr=(source, 0),
            ssl=_TLS if implicit and not script.in_clear else None,
        )
        self._is_encrypted = implicit and not script.in_clear
        if script.steps and isinstance(script.steps[0], Ask):
            await self._reply(1)

    async def take(self, step: Step) -> None:
        if self._closed.is_set():
            return
        match step:
            case Send(octets, commands):
                self.commands += commands
                await self._write(octets)
            case Ask(octets, content):
                self.commands += 1
                await self._ask(octets, content)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case HalfClose():
                self._half_close()
            case Abort():
                self._abort()

    async def end(self) -> None:
        """Whatever the state of the session, the server must hang up after the client has."""
        if self._transport is None or self._closed.is_set():
            return
        self._half_close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._closed.wait()
        except TimeoutError:
            raise Trouble("the server keeps a connection that the client has closed") from None

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _ask(self, octets: bytes, content: bytes) -> None:
        code = await self._exchange(octets)
        if code == b"354":
            await self._exchange(content + b".\r\n")
        elif code == b"334":
            await self._exchange(b"*\r\n")
        elif code == b"220" and octets.upper() == b"STARTTLS\r\n":
            await self._start_tls()

    async def _exchange(self, octets: bytes) -> bytes:
        """The code of the reply to this; "" when the server has hung up."""
        wanted = len(self._codes) + 1
        await self._write(octets)
        return await self._reply(wanted)

    async def _reply(self, count: int) -> bytes:
        while len(self._codes) < count and not self._closed.is_set():
            self._heard.clear()
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._heard.wait()
            except TimeoutError:
                raise Trouble("a command was not answered") from None
        return self._codes[count - 1] if len(self._codes) >= count else b""

    async def _write(self, octets: bytes) -> None:
        """In chunks, since the server may hang up in the middle."""
        for start in range(0, len(octets), CHUNK):
            await self._may_write.wait()
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.write(octets[start : start + CHUNK])

    async def _start_tls(self) -> None:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(self._transport, self, _TLS)
        self._is_encrypted = True

    def _half_close(self) -> None:
        """TLS has no half: there the connection is closed."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_encrypted:
            self._transport.close()
        else:
            self._transport.write_eof()

    def _abort(self) -> None:
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
