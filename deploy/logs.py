"""The log files of the parts: HOME/log/NAME.log, bounded in size."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

LARGEST = 50 * 1024 * 1024


def opened(path: Path) -> BinaryIO:
    """Open a log for appending; every writer appends, so that trim() can empty it under them."""
    return path.open("ab", buffering=0)


def trim(paths: Iterable[Path], largest: int = LARGEST) -> None:
    """Move the content of every log over `largest` octets to NAME.log.1, replacing that."""
    for path in paths:
        if path.exists() and path.stat().st_size > largest:
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)


def last_line(path: Path) -> str:
    """The last line of a log, for a sentence that says why something does not start."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "nothing in its log"
