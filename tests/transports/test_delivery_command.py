"""Commands of mailbox owners: as whom they run, what they see, and how they end."""

import dataclasses
import os
import pwd
from pathlib import Path

import pytest

from mta.transports import delivery_command
from mta.transports.delivery_command import Account, Ended, NotPermittedError, run
from tests.support.waiting import eventually

PATIENCE = 60.0


@pytest.fixture
def owner() -> Account:
    """Somebody we may run as: nobody when we are root, else ourselves."""
    entry = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, "/")


def said(command: str, owner: Account, stdin: bytes = b"", **variables: str) -> bytes:
    ended = run(command, owner, variables, stdin, PATIENCE)
    assert ended.code == 0, ended
    return ended.output


def test_runs_as_its_owner(owner):
    numbers = said("id -u; id -g; umask; pwd", owner).split()
    assert numbers[:2] == [str(owner.uid).encode(), str(owner.gid).encode()]
    assert int(numbers[2], 8) == 0o077
    assert numbers[3] == b"/"


def test_gets_the_message_and_nothing_of_our_environment(owner, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "secret")
    assert said("cat", owner, b"From: x\n\nHello\n") == b"From: x\n\nHello\n"
    seen = said("env", owner, EXT="a b", HOME="/elsewhere")
    assert b"secret" not in seen
    assert b"EXT=a b\n" in seen
    assert b"HOME=/\n" in seen


def test_an_address_is_never_read_by_a_shell(owner):
    evil = '$(echo bad)`echo bad`";echo bad;"'
    assert said('printf %s "$SENDER"', owner, SENDER=evil) == evil.encode()


@pytest.mark.parametrize(("command", "code"), [("exit 99", 99), ("kill -9 $$", -9), ("/no", 127)])
def test_exit_codes(owner, command, code):
    assert run(command, owner, {}, b"", PATIENCE).code == code


def test_both_outputs_up_to_a_limit(owner):
    assert said("echo one; echo two >&2", owner) == b"one\ntwo\n"
    assert len(said("head -c 1000000 /dev/zero", owner)) == delivery_command.MAX_OUTPUT


def test_a_command_that_does_not_end(owner):
    assert run("echo begun; exec sleep 1000", owner, {}, b"", 0.5) == Ended(None, b"begun\n")


def test_what_a_command_leaves_behind_ends_with_it(owner):
    left = int(said("sleep 1000 & echo $!", owner))
    eventually(lambda: has_ended(left))


def has_ended(process: int) -> bool:
    """Whether it is gone, or only waits for somebody to take note of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_message_that_is_not_read(owner):
    assert said("exit 0", owner, b"x" * 5_000_000) == b""


def test_never_as_root(owner):
    with pytest.raises(NotPermittedError, match="root"):
        run("id", dataclasses.replace(owner, uid=0), {}, b"", PATIENCE)


def test_never_as_somebody_else_without_being_root(owner, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: owner.uid + 1)
    with pytest.raises(NotPermittedError, match="only root"):
        run("id", owner, {}, b"", PATIENCE)


def test_accounts_of_the_system():
    found = delivery_command.account("nobody")
    assert found is not None
    assert found.uid == pwd.getpwnam("nobody").pw_uid
    assert delivery_command.account("no such user") is None
    assert delivery_command.account("a\0b") is None
