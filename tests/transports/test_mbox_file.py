"""Appending to an mbox: whole or not at all, and never while another program holds it."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from mta.transports import mbox_file

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_made_private_and_appended_to(tmp_path):
    path = tmp_path / "Mailbox"
    mbox_file.append(str(path), b"one\n")
    mbox_file.append(str(path), b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["lockf", "flock"])
def test_locked_by_another_program(tmp_path, kind):
    path = tmp_path / "Mailbox"
    path.write_bytes(b"one\n")
    arguments = [sys.executable, "-c", _HOLD, str(path), kind]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(TimeoutError):
            mbox_file.append(str(path), b"two\n", patience=0)
        assert path.read_bytes() == b"one\n"
        holder.communicate()
    mbox_file.append(str(path), b"two\n", patience=0)
    assert path.read_bytes() == b"one\ntwo\n"


def test_half_a_message_is_cut_off(tmp_path, monkeypatch):
    path = tmp_path / "Mailbox"
    path.write_bytes(b"one\n")
    write = os.write

    def full_disk(descriptor: int, data: memoryview) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data[:5])

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(OSError, match="full"):
        mbox_file.append(str(path), b"0123456789ab")
    assert path.read_bytes() == b"one\n"


def test_locks_are_given_back(tmp_path):
    path = tmp_path / "Mailbox"
    mbox_file.append(str(path), b"one\n")
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file(tmp_path, kind):
    path = tmp_path / "Mailbox"
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(OSError):
        mbox_file.append(str(path), b"one\n")
