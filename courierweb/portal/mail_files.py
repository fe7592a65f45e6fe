"""The owner's stored messages: the files of their Maildir, found by listing it.

A page names a message by a token that is compared with what the listing gives; nothing that came
from a browser becomes a path. Links are not followed.
"""

import base64
import hashlib
import heapq
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from mta.filters.sieve.evaluate import Message
from mta.models import Mailbox
from mta.protocol import maildir

MOST_OCTETS = 4 << 20
_HEAD_OCTETS = 64 << 10
# A mailbox with more files is looked at no further.
_MOST_FILES = 200_000
_SHIFTED = re.compile(r"&([^-/]*)-")
_ENVELOPE = re.compile(
    rb"\AReturn-Path: <(?P<from>[^\n]*?)>\r?\nDelivered-To: (?P<to>[^\r\n]*)\r?\n"
)


@dataclass(frozen=True)
class StoredMessage:
    """One file. `folder` is "" for the inbox, `at` seconds since the epoch."""

    path: str
    folder: str
    at: float
    owner: str

    @property
    def token(self) -> str:
        key = maildir.key_of(os.path.basename(self.path))  # noqa: PTH119
        return hashlib.sha256(f"{self.folder}/{key}".encode("utf-8", "replace")).hexdigest()[:24]

    @property
    def received(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def message(self) -> Message:
        """As it was before it was delivered, with its envelope; empty when it is gone."""
        return self._read(MOST_OCTETS)

    @cached_property
    def _head(self) -> Message:
        return self._read(_HEAD_OCTETS)

    def _read(self, most: int) -> Message:
        content = _read(self.path, most)
        found = _ENVELOPE.match(content)
        if found is None:
            return Message(content, "", self.owner)
        reverse_path = found["from"].decode("utf-8", "replace")
        recipient = found["to"].decode("utf-8", "replace")
        return Message(content[found.end() :], reverse_path, recipient)

    def address(self, name: str) -> str:
        """The first address in that header, the reverse path without one."""
        found = [each for field in self._head.addresses(name) for each in field]
        return found[0] if found else self._head.envelope["from"]

    def heading(self, name: str) -> str:
        values = self._head.header(name)
        return values[0][:300] if values else ""

    @property
    def subject(self) -> str:
        return self.heading("subject") or "(no subject)"

    @property
    def sender(self) -> str:
        return self.heading("from") or self._head.envelope["from"] or "(no sender)"


def recent(mail_root: Path, mailbox: Mailbox, limit: int) -> list[StoredMessage]:
    """The newest first, from the inbox and all folders."""
    home = mail_root / maildir.mailbox_name(mailbox.local_part, mailbox.domain.name) / "Maildir"
    return heapq.nlargest(
        limit, _files(home, mailbox.address), key=lambda each: (each.at, each.path)
    )


def find(mail_root: Path, mailbox: Mailbox, token: str, limit: int) -> StoredMessage | None:
    """The message of that token among the recent ones."""
    return next((each for each in recent(mail_root, mailbox, limit) if each.token == token), None)


def _files(home: Path, owner: str) -> Iterator[StoredMessage]:
    left = _MOST_FILES
    for name, directory in _directories(home):
        for entry in _entries(directory):
            left -= 1
            if left < 0:
                return
            digits = entry.name.partition(".")[0]
            if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                continue
            at = float(digits) if digits.isdigit() and len(digits) < 12 else 0.0
            yield StoredMessage(entry.path, name, at, owner)


def _directories(home: Path) -> Iterator[tuple[str, Path]]:
    folders = [("", home)]
    folders += [
        (folder_name(each.name), home / each.name)
        for each in _entries(home)
        if each.name.startswith(".") and each.is_dir(follow_symlinks=False)
    ]
    for name, path in folders:
        yield name, path / "new"
        yield name, path / "cur"


def folders(mail_root: Path, mailbox: Mailbox) -> list[str]:
    home = mail_root / maildir.mailbox_name(mailbox.local_part, mailbox.domain.name) / "Maildir"
    return sorted({name for name, _ in _directories(home) if name})


def folder_name(directory: str) -> str:
    """As Sieve writes it: Maildir++ puts dots between levels and has other than ASCII in modified
    UTF-7 (`maildir.folder_directory`). A name that is none stays as it is."""
    plain = directory[1:].replace(".", "/")
    try:
        return _SHIFTED.sub(_unshifted, plain)
    except ValueError:
        return plain


def _unshifted(match: re.Match[str]) -> str:
    """RFC 3501 section 5.1.3. Raises ValueError."""
    coded = match[1]
    if not coded:
        return "&"
    padded = coded + "=" * (-len(coded) % 4)
    return base64.b64decode(padded, b"+,", validate=True).decode("utf-16-be")


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """What is there; nothing for a directory that is not, or is a link."""
    if directory.is_symlink():
        return []
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _read(path: str, most: int) -> bytes:
    """The file's beginning; b"" when it was moved or deleted meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return b""
        return file.read(most).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
