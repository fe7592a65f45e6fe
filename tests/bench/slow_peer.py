"""A slow host in a process of its own, for `tests.bench.outbound`.

    python -m tests.bench.slow_peer SESSIONS

Speaks ESMTP with STARTTLS on a free port of 127.0.0.1, which it prints first. Whoever has sent
DATA is not read from until SESSIONS of them have; then it prints "all", reads everything and takes
it.
"""

import asyncio
import ssl
import sys

from tests.support.sink import default_certificate, server_context

_ANSWERS = {
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
    b"NOOP": b"250 2.0.0 ok\r\n",
}
_READ = 1 << 20


class SlowPeer:
    def __init__(self, sessions: int, tls: ssl.SSLContext) -> None:
        self._sessions = sessions
        self._tls = tls
        self._in_data = 0
        self._go_on = asyncio.Event()

    async def serve(self) -> None:
        server = await asyncio.start_server(self._session, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow.example ESMTP\r\n")
        try:
            while line := await reader.readline():
                await self._answer(line[:4].upper(), reader, writer)
        except ConnectionError:
            return
        writer.close()

    async def _answer(
        self, verb: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if verb == b"EHLO":
            starttls = b"" if writer.get_extra_info("ssl_object") else b"250-STARTTLS\r\n"
            writer.write(b"250-slow.example\r\n" + starttls + b"250-8BITMIME\r\n250 PIPELINING\r\n")
        elif verb == b"STAR":
            writer.write(b"220 2.0.0 go ahead\r\n")
            await writer.drain()
            await writer.start_tls(self._tls)
        elif verb == b"DATA":
            writer.write(b"354 go ahead, but do not hurry\r\n")
            await self._take(reader)
            writer.write(b"250 2.0.0 taken\r\n")
        elif verb == b"QUIT":
            writer.write(b"221 2.0.0 bye\r\n")
            writer.close()
        else:
            writer.write(_ANSWERS.get(verb, b"500 5.5.1 what?\r\n"))

    async def _take(self, reader: asyncio.StreamReader) -> None:
        self._in_data += 1
        if self._in_data == self._sessions:
            print("all", flush=True)
            self._go_on.set()
        await self._go_on.wait()
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            chunk = await reader.read(_READ)
            if not chunk:
                raise ConnectionError
            tail = (tail + chunk)[-5:]


if __name__ == "__main__":
    asyncio.run(SlowPeer(int(sys.argv[1]), server_context(default_certificate())).serve())
