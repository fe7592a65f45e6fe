"""Maildir++ quotas: the file `maildirsize` in the main Maildir.

Line 1 is the quota ("10000000S": octets), each further line "<octets> <messages>", blank-padded
to at least 14 octets with its newline; their sum is the usage. Adding appends a line. The file
is a cache that others (an IMAP server) share: it is counted anew when its quota is not the
configured one, when it has grown to 5,120 octets, or when it says "full" and is more than one
line long or older than 15 minutes. Trashed messages and the folder .Trash do not count.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mta.protocol import maildir

NAME = "maildirsize"
MAX_FILE = 5120
MAX_AGE = 15 * 60
_LINE = 13
_MAX_QUOTA = 100
_LIMIT = re.compile(r"(?:^|,)(\d{1,18})([SC])(?=,|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a maildirsize file says. `lines` counts the lines after the quota."""

    quota: str
    octets: int
    messages: int
    lines: int


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a Maildir may hold, 0 for no limit; `text` is how that stands in its file."""

    octets: int = 0
    messages: int = 0
    text: str = ""


def quota_line(octets: int) -> str:
    return f"{octets}S"


def own_quota(path: str) -> Quota:
    """The quota that the file in the Maildir itself tells: "10000000S,1000C". None that can be
    understood is none. Raises OSError."""
    try:
        with Path(path, NAME).open("rb") as file:
            text = file.readline(_MAX_QUOTA).decode("latin-1").strip()
    except FileNotFoundError:
        return Quota()
    limits = {match[2]: int(match[1]) for match in _LIMIT.finditer(text)}
    return Quota(limits.get("S", 0), limits.get("C", 0), text)


def usage_line(octets: int, messages: int) -> bytes:
    return f"{f'{octets} {messages}':<{_LINE}}\n".encode("ascii")


def parse(text: bytes) -> Usage | None:
    """The usage in the text of a maildirsize file; None when it must be counted anew."""
    if len(text) >= MAX_FILE or not text.endswith(b"\n"):
        return None
    quota, *lines = text.decode("latin-1").splitlines()
    octets = messages = 0
    try:
        for line in lines:
            size, count = line.split()
            octets += int(size)
            messages += int(count)
    except ValueError:
        return None
    return Usage(quota.strip(), octets, messages, len(lines))


def count(path: str) -> tuple[int, int]:
    """(octets, messages) of the Maildir at `path` with its folders, counted file by file."""
    octets = messages = 0
    for directory in _counted_directories(path):
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(".") or maildir.FLAG_TRASHED in maildir.flags_of(
                    entry.name
                ):
                    continue
                size = maildir.size_of(entry.name)
                with contextlib.suppress(FileNotFoundError):
                    octets += entry.stat().st_size if size is None else size
                    messages += 1
    return octets, messages


def _counted_directories(path: str) -> Iterator[str]:
    with os.scandir(path) as entries:
        folders = [
            entry.path
            for entry in entries
            if entry.name.startswith(".")
            and entry.name != maildir.TRASH_FOLDER
            and entry.is_dir(follow_symlinks=False)
        ]
    for folder in (path, *folders):
        yield f"{folder}/new"
        yield f"{folder}/cur"


class Account:
    """The usage of one Maildir while a group of messages is delivered to it.

    `quota` is in octets, 0 for none, or what `own_quota` gives. `admits` and `add` are called per
    message, `settle` once when the messages are in new/; what did not get there is taken back
    before.
    """

    def __init__(self, path: str, quota: int | Quota) -> None:
        if isinstance(quota, int):
            quota = Quota(quota, text=quota_line(quota))
        self._path = path
        self._file = Path(path, NAME)
        self._quota = quota
        self._used: tuple[int, int] | None = None
        self._counted = False
        self._pending_octets = 0
        self._pending_messages = 0

    def admits(self, size: int) -> bool:
        """Whether `size` more octets fit. May count the whole Maildir. Raises OSError."""
        if not (self._quota.octets or self._quota.messages):
            return True
        if self._fits(self._known_usage(), size):
            return True
        if self._counted or not self._may_be_stale():
            return False
        return self._fits(self._recount(), size)

    def add(self, size: int) -> None:
        self._pending_octets += size
        self._pending_messages += 1

    def take_back(self, size: int) -> None:
        self._pending_octets -= size
        self._pending_messages -= 1

    def settle(self) -> None:
        """Appends what was added to the file, also when the quota is not ours. Raises OSError."""
        if not self._pending_messages:
            return
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.write(descriptor, usage_line(self._pending_octets, self._pending_messages))
        finally:
            os.close(descriptor)

    def _fits(self, used: tuple[int, int], size: int) -> bool:
        octets, messages = used
        most_octets, most_messages = self._quota.octets, self._quota.messages
        if most_messages and messages + self._pending_messages >= most_messages:
            return False
        return not most_octets or octets + self._pending_octets + size <= most_octets

    def _known_usage(self) -> tuple[int, int]:
        if self._used is None:
            usage = self._read()
            if usage is None or usage.quota != self._quota.text:
                return self._recount()
            self._used = usage.octets, usage.messages
        return self._used

    def _read(self) -> Usage | None:
        try:
            with self._file.open("rb") as file:
                return parse(file.read(MAX_FILE))
        except FileNotFoundError:
            return None

    def _may_be_stale(self) -> bool:
        usage = self._read()
        if usage is None or usage.lines > 1:
            return True
        return time.time() - self._file.stat().st_mtime > MAX_AGE

    def _recount(self) -> tuple[int, int]:
        octets, messages = count(self._path)
        temporary = Path(self._path, "tmp", f"{NAME}.{os.urandom(8).hex()}")
        text = self._quota.text.encode("latin-1") + b"\n" + usage_line(octets, messages)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)
        temporary.rename(self._file)
        self._used = octets, messages
        self._counted = True
        return self._used
