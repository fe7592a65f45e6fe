"""preline: the lines of the delivery, then the message, then the command's own end."""

import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "deploy" / "preline"
LINES = {
    "UFLINE": "From ann@x.test Mon Jan  5 10:00:00 2026",
    "RPLINE": "Return-Path: <ann@x.test>",
    "DTLINE": "Delivered-To: bob@y.test",
}


def preline(
    *command: str, content: bytes = b"Subject: x\n\nbody\n", **variables: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [str(PROGRAM), *command],
        input=content,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **variables},
        timeout=60,
    )


def test_the_lines_stand_before_the_message():
    done = preline("cat", **LINES)
    assert done.stdout.decode().splitlines() == [*LINES.values(), "Subject: x", "", "body"]


def test_only_those_that_are_set():
    assert preline("cat", RPLINE="Return-Path: <>").stdout == (
        b"Return-Path: <>\nSubject: x\n\nbody\n"
    )
    assert preline("cat", content=b"\x00\xff").stdout == b"\x00\xff"


@pytest.mark.parametrize("status", [0, 1, 75, 99])
def test_the_commands_exit_status_is_ours(status):
    assert preline("sh", "-c", f"cat >/dev/null; exit {status}").returncode == status


def test_a_command_that_does_not_read():
    assert preline("true", content=b"x" * 5_000_000).returncode == 0


def test_no_command():
    assert preline().returncode == 64
    missing = preline("/no/such/program")
    assert missing.returncode == 127
    assert b"/no/such/program" in missing.stderr
