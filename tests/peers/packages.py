"""Debian packages with everything they need, unpacked into a directory; nothing is installed.

apt is told that the machine is empty, so that it fetches libraries and all: what runs in the tree
needs nothing of the machine but its kernel. Trees stay in the cache for the next time.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 120.0
# What every tree gets: maintainers take a shell and its friends for granted.
BASE = ("dash", "coreutils", "sed", "grep", "base-passwd")


class NoPeer(Exception):
    """The peer cannot be had on this machine; the message says why."""


def tree(cache: Path, packages: Sequence[str]) -> Path:
    """A directory with the packages, for reading only. Raises NoPeer."""
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise NoPeer(f"there is no {program} on this machine")
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / packages[0]
    with (cache / f"{packages[0]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists() or _made_from(place) != _fingerprint(packages):
            shutil.rmtree(place, ignore_errors=True)
            _unpack(_download(cache, packages), place)
            _label(place).write_text(_fingerprint(packages))
    return place


def _label(place: Path) -> Path:
    return place.with_suffix(".made-from")


def _made_from(place: Path) -> str:
    label = _label(place)
    return label.read_text() if label.exists() else ""


def _fingerprint(packages: Sequence[str]) -> str:
    return hashlib.sha256(repr((BASE, tuple(packages))).encode()).hexdigest()


def _download(cache: Path, packages: Sequence[str]) -> list[Path]:
    """The archives of the packages and of all that they depend on."""
    place = cache / f"{packages[0]}.archives"
    shutil.rmtree(place, ignore_errors=True)
    (place / "partial").mkdir(parents=True)
    empty = place / "status"
    empty.touch()
    command = ["apt-get", "install", "--download-only", "--no-install-recommends", "-qy"]
    options = [
        f"Dir::State::status={empty}",
        f"Dir::Cache::archives={place}",
        "Debug::NoLocking=1",
        "APT::Sandbox::User=root",
        "Acquire::Retries=1",
        "Acquire::http::Timeout=20",
    ]
    command += [word for option in options for word in ("-o", option)]
    command += [*BASE, *packages]
    result = _run(command)
    if result.returncode:
        # No lists of packages yet, or lists that are too old.
        _run(["apt-get", "update", "-q"])
        result = _run(command)
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if line.startswith("E: ")]
        raise NoPeer(f"apt-get cannot download {packages[0]}: {' '.join(errors[:1])}")
    return sorted(place.glob("*.deb"))


def _unpack(archives: Sequence[Path], place: Path) -> None:
    unfinished = place.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for archive in archives:
        result = _run(["dpkg-deb", "-x", str(archive), str(unfinished)])
        if result.returncode:
            raise NoPeer(f"{archive.name} cannot be unpacked: {result.stderr.strip()}")
    unfinished.chmod(0o755)
    unfinished.rename(place)
    shutil.rmtree(archives[0].parent)


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE, umask=0o022
        )
    except subprocess.TimeoutExpired as error:
        raise NoPeer(f"{command[0]} was not done after {PATIENCE:.0f} s") from error
