"""Step 3, connections to filters that listen on a UNIX socket."""

import asyncio
import socket

# A filter whose queue of callers is full is busy, not away: a few more times, over some seconds.
ATTEMPTS = 6
FIRST_PAUSE = 0.1

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_unix(path: str) -> Streams:
    """Raises OSError.

    A full queue is EAGAIN, which an event loop takes for a connection under way and then for one
    that is there; so the socket is connected here, which on this host takes no time.
    """
    for attempt in range(ATTEMPTS):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(path)
            return await asyncio.open_unix_connection(sock=connection)
        except BlockingIOError:
            connection.close()
        except BaseException:
            connection.close()
            raise
        if attempt < ATTEMPTS - 1:
            await asyncio.sleep(FIRST_PAUSE * 2**attempt)
    raise BlockingIOError(f"{path} is busy")
