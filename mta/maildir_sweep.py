"""Unfinished files in the Maildirs: what a delivery that died has left in tmp/ (spec 7.5)."""

import logging
import os
import time
from pathlib import Path

log = logging.getLogger(__name__)


def sweep_temporary(mail_root: Path, older_than: float, deadline: float) -> int:
    """Delete files in DOMAIN/LOCALPART/Maildir/tmp that are older than that, in seconds, until
    `deadline` (monotonic); gives how many. Other programs may deliver there, so the age counts
    and not the name; links are not followed."""
    before = time.time() - older_than
    deleted = 0
    for folder in mail_root.glob("*/*/Maildir/tmp"):
        if time.monotonic() > deadline:
            break
        deleted += _sweep(folder, before)
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
