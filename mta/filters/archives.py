"""What is in a ZIP archive, read without being taken in by it: names and beginnings of members.

Nothing is unpacked further than a few octets, except for archives within an archive, once, and as
far as the budget goes. An archive that cannot be read, or not within it, says so.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

MAX_MEMBERS = 2000
# Octets that all archives of a message may unpack to while they are looked at.
MAX_UNPACKED = 64 * 1024 * 1024
MAX_DEPTH = 2
TOO_MANY = "an archive with too many files"
_HEAD = 16
_ENCRYPTED = 0x1
# An entry of the directory at the end; all of them are read before any is looked at.
_ENTRY = b"PK\x01\x02"
_MAX_ENTRIES = 10 * MAX_MEMBERS
# The others unpack without a bound in the standard library.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive; `name` is without folders, `head` its first octets, b"" when they
    cannot be read. `depth` is 1 in the archive itself, 2 in one within."""

    name: str
    depth: int
    head: bytes = b""
    is_encrypted: bool = False


@dataclass(slots=True)
class Contents:
    """All members of an archive; `unreadable` says why some could not be seen, "" when all were."""

    members: list[Member] = field(default_factory=list)
    unreadable: str = ""

    @property
    def is_encrypted(self) -> bool:
        return any(member.is_encrypted for member in self.members)


def is_zip(head: bytes) -> bool:
    return head.startswith(_ZIP)


class Reader:
    """Reads the archives of one message, with one budget for all of them."""

    def __init__(self, members: int = MAX_MEMBERS, unpacked: int = MAX_UNPACKED) -> None:
        self._members = members
        self._unpacked = unpacked

    def read(self, octets: bytes) -> Contents:
        """Raises nothing."""
        contents = Contents()
        self._read(octets, 1, contents)
        return contents

    def _read(self, octets: bytes, depth: int, contents: Contents) -> None:
        if octets.count(_ENTRY) > _MAX_ENTRIES:
            contents.unreadable = TOO_MANY
            return
        try:
            with zipfile.ZipFile(io.BytesIO(octets)) as archive:
                for info in self._infos(archive, contents):
                    self._member(archive, info, depth, contents)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
            contents.unreadable = contents.unreadable or f"a broken archive: {error}"

    def _infos(self, archive: zipfile.ZipFile, contents: Contents) -> Iterator[zipfile.ZipInfo]:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if not self._members:
                contents.unreadable = TOO_MANY
                return
            self._members -= 1
            yield info

    def _member(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, depth: int, contents: Contents
    ) -> None:
        name = info.filename.replace("\\", "/").rpartition("/")[2].rstrip(". ")
        if info.flag_bits & _ENCRYPTED:
            contents.members.append(Member(name, depth, is_encrypted=True))
            return
        if info.compress_type not in _BOUNDED:
            contents.members.append(Member(name, depth))
            contents.unreadable = contents.unreadable or f"{name!r} is packed in a rare way"
            return
        try:
            with archive.open(info) as stream:
                head = stream.read(_HEAD)
                contents.members.append(Member(name, depth, head))
                if is_zip(head):
                    self._archive_within(head, stream, depth, contents)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            if not any(member.name == name for member in contents.members):
                contents.members.append(Member(name, depth))
            contents.unreadable = contents.unreadable or f"{name!r} cannot be unpacked: {error}"

    def _archive_within(
        self, head: bytes, stream: IO[bytes], depth: int, contents: Contents
    ) -> None:
        if depth >= MAX_DEPTH:
            contents.unreadable = "archives within archives within an archive"
            return
        octets = head + stream.read(self._unpacked)
        self._unpacked = max(0, self._unpacked - len(octets))
        if stream.read(1):
            contents.unreadable = "an archive that unpacks to too much"
            return
        self._read(octets, depth + 1, contents)
