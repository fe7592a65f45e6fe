"""The instruction files in a home, read as their owner (step 6, in the child).

What is in a home is whatever its owner has put there: a file is read when it is a plain file of a
bounded size that nobody else may write, and everything else waits until it has been put right.
Facts: spec 3.8.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from mta.protocol.instructions import MAX_TEXT
from mta.protocol.local_account import instruction_files


class NotReadable(Exception):
    """A file or a home that must be put right by its owner; the message says what is wrong."""


class NoInstructions(Exception):
    """The account takes no mail with this extension."""


@dataclass(frozen=True, slots=True)
class Found:
    """The instructions for an extension; `default` is what a "-default" in the name stands for."""

    name: str
    text: str
    default: str = ""


def enter(home: str) -> None:
    """Makes the home the working directory. Raises NotReadable."""
    try:
        os.chdir(home)
        mode = Path().stat().st_mode
    except OSError as error:
        raise NotReadable(f"the home cannot be entered: {error.strerror}") from error
    if mode & stat.S_IWOTH:
        raise NotReadable("everybody may write to the home")


def find(extension: str, stem: str) -> Found | None:
    """The first file there is for the extension, None when the account has none at all.

    Raises NotReadable; NoInstructions when there is none for an extension.
    """
    for candidate in instruction_files(extension, stem):
        text = read(candidate.name)
        if text is not None:
            return Found(candidate.name, text, candidate.default)
    if extension:
        raise NoInstructions
    return None


def read(path: str) -> str | None:
    """The text of a file in the home, None when there is none. Raises NotReadable."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotReadable(f"{path}: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            octets = file.read(MAX_TEXT + 1)
    finally:
        os.close(descriptor)
    if len(octets) > MAX_TEXT:
        raise NotReadable(f"{path} is longer than {MAX_TEXT} octets")
    return octets.decode("utf-8", "surrogateescape")


def _check(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotReadable(f"{path} is not a plain file")
    if mode & stat.S_IWOTH:
        raise NotReadable(f"everybody may write to {path}")
