"""Step 3, a message as two files in a directory of its own, for programs that read files.

Another account reads them, if the administrator says of which group; nobody else can.
"""

import asyncio
import grp
import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mta.protocol.courier_control import control_file
from mta.protocol.site_filter import FilterRequest

_PREFIX = "courierweb-filter-"
# Seconds: no question takes so long, so whoever made such a directory was killed.
_FORGOTTEN = 86400.0


@dataclass(frozen=True, slots=True)
class FileTerms:
    """`directory` is None for the system's own, `group` None for that of this process; `mode` is
    that of a file."""

    directory: Path | None
    group: int | None
    mode: int

    @classmethod
    def of(cls, directory: str, group: str, mode: str) -> Self:
        """As the administrator wrote them. Raises ValueError."""
        if directory and (not directory.startswith("/") or ".." in directory.split("/")):
            raise ValueError("directory: a path that begins with / and has no ..")
        if not re.fullmatch(r"0?[0-7]{3}", mode) or int(mode, 8) & 0o600 != 0o600:
            raise ValueError("mode: three octal digits, of which the first is 6 or 7")
        return cls(Path(directory) if directory else None, _group(group), int(mode, 8))

    @property
    def directory_mode(self) -> int:
        """Whoever may read the files may find them."""
        return self.mode | (self.mode & 0o444) >> 2 | 0o100


def _group(name: str) -> int | None:
    if not name:
        return None
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"group: there is no group {name}") from None


class MessageFiles:
    """Give it to `async with`: the files are there until its end. Raises OSError."""

    def __init__(self, request: FilterRequest, terms: FileTerms) -> None:
        self._request = request
        self._terms = terms
        self._place = Path()

    @property
    def data(self) -> Path:
        return self._place / "D1"

    @property
    def control(self) -> Path:
        return self._place / "C1"

    async def __aenter__(self) -> Self:
        self._place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._terms.directory)).absolute()
        writing = asyncio.ensure_future(asyncio.to_thread(self._write))
        try:
            await asyncio.shield(writing)
        except BaseException:
            # A thread cannot be stopped, and would write behind the removal's back.
            await asyncio.wait([writing])
            self._remove()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        self._remove()

    def _write(self) -> None:
        _remove_forgotten(self._place.parent)
        # Courier's own files have plain line ends.
        self._make(self.data, (self._request.content or b"").replace(b"\r\n", b"\n"))
        self._make(self.control, control_file(self._request))
        self._own(self._place, self._terms.directory_mode)

    def _make(self, path: Path, octets: bytes) -> None:
        path.write_bytes(octets)
        self._own(path, self._terms.mode)

    def _own(self, path: Path, mode: int) -> None:
        """The directory is opened to the group only when all is in it."""
        if self._terms.group is not None:
            os.chown(path, -1, self._terms.group)
        path.chmod(mode)

    def _remove(self) -> None:
        """Three names: at once, so that nothing can come between."""
        shutil.rmtree(self._place, ignore_errors=True)


def _remove_forgotten(directory: Path) -> None:
    """What a crash has left there: it is somebody's mail."""
    for place in directory.glob(f"{_PREFIX}*"):
        try:
            is_forgotten = time.time() - place.stat().st_mtime > _FORGOTTEN
        except FileNotFoundError:
            continue
        if is_forgotten:
            shutil.rmtree(place, ignore_errors=True)
