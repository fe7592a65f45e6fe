"""What grows old in the Maildirs: files that a delivery that died has left in tmp/ (spec 7.5), and
what has been thrown away."""

import logging
import os
import time
from itertools import chain
from pathlib import Path

from mta.protocol import maildir

log = logging.getLogger(__name__)


def sweep_temporary(mail_root: Path, older_than: float, deadline: float) -> int:
    """Delete files in tmp/ of DOMAIN/LOCALPART/Maildir and its folders that are older than that,
    in seconds, until `deadline` (monotonic); gives how many. Other programs may deliver there, so
    the age counts and not the name; links are not followed."""
    before = time.time() - older_than
    deleted = 0
    places = ("*/*/Maildir/tmp", "*/*/Maildir/.*/tmp")
    for folder in chain.from_iterable(mail_root.glob(each) for each in places):
        if time.monotonic() > deadline:
            break
        deleted += _sweep(folder, before)
    return deleted


def sweep_trash(mail_root: Path, older_than: float, deadline: float) -> int:
    """Delete what has been in the folder Trash of a mailbox for longer than that, in seconds, until
    `deadline` (monotonic); gives how many. A file changes its status when it is moved there, so its
    age is that in the folder. Trash counts for no quota."""
    before = time.time() - older_than
    deleted = 0
    for folder in mail_root.glob(f"*/*/Maildir/{maildir.TRASH_FOLDER}"):
        if time.monotonic() > deadline:
            break
        if folder.is_symlink():
            continue
        deleted += sum(_sweep(folder / place, before) for place in ("new", "cur"))
    return deleted


def _sweep(folder: Path, before: float) -> int:
    deleted = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    continue
                facts = entry.stat(follow_symlinks=False)
                if max(facts.st_mtime, facts.st_ctime) < before:
                    Path(entry.path).unlink(missing_ok=True)
                    deleted += 1
    except OSError as error:
        log.warning("%s cannot be swept: %s", folder, error)
    return deleted
