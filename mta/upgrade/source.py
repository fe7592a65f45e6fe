"""The configuration directory as the readers see it: text files, and nothing outside of it.

It may be a copy from another host, made by somebody else. So a link that leads out of it is not
followed, and a file that cannot be read is one entry of the list of what is left.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from mta.upgrade.findings import Findings, Line, Origin

MAX_OCTETS = 64 * 1024 * 1024
# Compiled maps, and what editors and packages leave behind.
_NOT_TEXT = (".db", ".dat", ".pag", ".dir", ".cdb", ".bak", ".dist", "~", ".rpmnew", ".dpkg-dist")
_UNDECODABLE = "\N{REPLACEMENT CHARACTER}"


class Source:
    """Files by their names relative to the directory."""

    def __init__(self, root: Path, findings: Findings) -> None:
        self._root = root.resolve()
        self._findings = findings

    def has(self, name: str) -> bool:
        try:
            return (self._root / name).is_file()
        except PermissionError:
            # Its folder cannot be entered, which `names` tells.
            return False

    def names(self, folder: str, *, hidden: bool = False) -> list[str]:
        """The text files of a folder, or the file itself if it is one; sorted, or none."""
        path = self._root / folder
        if self.has(folder):
            return [folder]
        try:
            if not path.is_dir() or not self._is_inside(path):
                return []
            found = [each.name for each in path.iterdir() if each.is_file()]
        except PermissionError as error:
            self._leave(folder, error)
            return []
        return sorted(
            f"{folder}/{name}"
            for name in found
            if name.startswith(".") == hidden and not name.endswith(_NOT_TEXT)
        )

    def lines(self, name: str) -> Iterator[Line]:
        """Lines that hold something and are no comment; none when there is no such file."""
        if not self.has(name):
            return
        try:
            text = self.text(self._root / name)
        except OSError as error:
            self._leave(name, error)
            return
        for number, each in enumerate(text.splitlines(), start=1):
            line = Line(Origin(name, number), each.rstrip())
            if not line.text.strip() or line.text.lstrip().startswith("#"):
                continue
            if _UNDECODABLE in line.text or not line.text.replace("\t", " ").isprintable():
                self._findings.leave(line, "is not UTF-8 text")
                continue
            yield line

    def first(self, name: str) -> Line | None:
        """The first line of a file that holds one value."""
        return next(self.lines(name), None)

    def text(self, path: Path) -> str:
        """The file's text. Raises OSError, also for what is outside or too large."""
        if not self._is_inside(path):
            raise OSError("it leads out of the directory")
        if path.stat().st_size > MAX_OCTETS:
            raise OSError(f"it is larger than {MAX_OCTETS} octets")
        return path.read_bytes().decode("utf-8", "replace")

    def included(self, path: str) -> str:
        """The text of a file that an alias includes by its absolute path. Raises OSError.

        In a copy of the configuration it stands at the same place within the copy:
        /etc/mail/lists/team is lists/team.
        """
        parts = Path(path).parts[1:]
        candidates = [Path(path), *(self._root.joinpath(*parts[at:]) for at in range(len(parts)))]
        for candidate in candidates:
            if candidate.is_file() and self._is_inside(candidate):
                return self.text(candidate)
        raise OSError("there is no such file in the directory")

    def _leave(self, name: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        self._findings.leave(Line(Origin(name), ""), f"cannot be read: {reason}")

    def _is_inside(self, path: Path) -> bool:
        return os.path.commonpath([self._root, path.resolve()]) == str(self._root)
