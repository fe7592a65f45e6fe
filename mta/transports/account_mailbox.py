"""Putting a message into a Maildir or an mbox of its owner (step 6, in the child).

A Maildir delivery finds its own file when it is repeated; an mbox cannot. Paths are relative to
the home, and the rights are the owner's, so links lead nowhere that he could not go himself.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from mta.protocol import maildir, maildirsize, mbox
from mta.transports import mbox_file
from mta.transports.local_disk import remove, sync_path, write_new

_PARTS = ("cur", "new", "tmp")
_FOLDER_MARK = "maildirfolder"


class OverQuota(Exception):
    """The Maildir's own quota file says that the message does not fit."""


class NoMaildir(Exception):
    """A directory that is no Maildir."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it is written: the `lines` of this delivery go before the `body`; both have LF
    line ends. `key` is its `delivery_key`; `from_line` begins it in an mbox."""

    lines: bytes
    body: bytes
    key: str
    host: str
    from_line: str
    repeated: bool


def is_maildir(path: str, *, is_directory: bool) -> bool:
    """Whether the path is to be a Maildir: as it stands on the disk, or by its name.

    What is not there yet is one when a slash or a name like "Maildir" says so, or when it is a
    folder in one.
    """
    place = Path(path)
    if place.is_dir():
        return True
    if place.exists():
        return False
    return is_directory or place.name.lower().startswith("maildir") or _is_folder(place)


def append(path: str, letter: Letter) -> None:
    """To an mbox. Raises OSError; TimeoutError when others keep it locked."""
    text = letter.from_line.encode("utf-8", "surrogateescape") + b"\n" + letter.lines
    mbox_file.append(path, text + mbox.quoted(letter.body))


def deliver(path: str, letter: Letter) -> None:
    """To a Maildir, made on first use; returns when the message would survive a power cut.

    Raises OverQuota, NoMaildir, OSError.
    """
    place = Path(path)
    _prepare(place)
    if letter.repeated and _is_there(place, letter.key):
        return
    main = str(place.parent if _is_folder(place) else place)
    account = maildirsize.Account(main, maildirsize.own_quota(main))
    size = len(letter.lines) + len(letter.body)
    if not account.admits(size):
        raise OverQuota
    _write(place, letter, size)
    account.add(size)
    account.settle()


def _write(place: Path, letter: Letter, size: int) -> None:
    temporary = place / "tmp" / f"{letter.key}.{os.urandom(4).hex()}"
    write_new(str(temporary), (letter.lines, letter.body))
    try:
        sync_path(str(temporary))
        temporary.rename(place / "new" / maildir.file_name(letter.key, letter.host, size))
    except OSError:
        remove(str(temporary))
        raise
    sync_path(str(place / "new"))


def _prepare(place: Path) -> None:
    """Makes what is missing of a Maildir. Several deliveries may do so at once, and one that ended
    half way is gone on with; but a directory that holds other things is not made one."""
    place.mkdir(0o700, parents=True, exist_ok=True)
    missing = [part for part in _PARTS if not (place / part).is_dir()]
    if not missing:
        return
    if not {each.name for each in place.iterdir()} <= {*_PARTS, _FOLDER_MARK}:
        raise NoMaildir(f"{place} is a directory and no Maildir")
    if _is_folder(place):
        (place / _FOLDER_MARK).touch(0o600)
    for part in missing:
        (place / part).mkdir(0o700, exist_ok=True)
    sync_path(str(place))
    sync_path(str(place.parent))


def _is_folder(place: Path) -> bool:
    """Whether it is, or would be, a folder of another Maildir."""
    return place.name.startswith(".") and (place.parent / "cur").is_dir()


def _is_there(place: Path, key: str) -> bool:
    """Whether an earlier attempt has left its file here; then it is made durable, since that
    attempt may have ended before. What such attempts have left in tmp is removed."""
    for leftover in _named(place / "tmp", key):
        remove(leftover)
    for part in ("new", "cur"):
        if _named(place / part, key):
            sync_path(str(place / part))
            return True
    return False


def _named(directory: Path, key: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.path for entry in entries if maildir.key_of(entry.name) == key]
