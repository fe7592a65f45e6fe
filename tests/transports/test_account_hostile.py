"""Homes and users that do not mean well, and accounts that cannot be delivered to."""

import dataclasses
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.transports.account import Account
from mta.transports.base import DeliveryRequest, Outcome, Result
from tests.support.accounts import User, system_user
from tests.support.appliance import ROOT
from tests.support.waiting import eventually
from tests.transports.contract import message
from tests.transports.test_account import ANN, deliver, settings, verdict

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is somebody else here")


@pytest.fixture
def ann(monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    with system_user("ann", monkeypatch) as user:
        yield user


def outcomes(nexthop: str, *addresses: str) -> list[Outcome]:
    request = DeliveryRequest("account", nexthop, (message(1, addresses or [ANN]),))
    return list(Account().deliver(request, settings()))


def assert_waits(outcome: Outcome, word: str) -> None:
    assert verdict(outcome) == ("deferred", "4.3.5")
    assert word in outcome.reply.text


# --- the instruction file -----------------------------------------------------------------------


def test_a_file_that_everybody_may_write_waits(ann):
    ann.write(".courier", "./Maildir\n", mode=0o666)
    assert_waits(deliver(), "everybody may write")
    (ann.home / ".courier").chmod(0o664)
    assert deliver().result is Result.SENT


def test_a_home_that_everybody_may_write_waits(ann):
    ann.home.chmod(0o777)
    assert_waits(deliver(), "everybody may write to the home")


def test_a_home_that_is_away_waits(ann):
    ann.home.rename(ann.home.with_suffix(".away"))
    try:
        assert_waits(deliver(), "cannot be entered")
    finally:
        ann.home.with_suffix(".away").rename(ann.home)


def test_a_fifo_holds_up_nobody(ann):
    os.mkfifo(ann.home / ".courier")
    (ann.home / ".courier").chmod(0o644)
    assert_waits(deliver(), "not a plain file")


def test_a_directory_a_device_and_an_endless_link_wait(ann):
    instructions = ann.home / ".courier"
    for target in (ann.home, Path("/dev/zero"), instructions):
        instructions.symlink_to(target)
        assert verdict(deliver()) == ("deferred", "4.3.5")
        instructions.unlink()


def test_a_huge_file_waits(ann):
    ann.write(".courier", "# x\n" * 20_000)
    assert_waits(deliver(), "longer than")


@pytest.mark.parametrize("text", ["|\n", "@@\n", "./ok/\n&a b@@c\n", "a\0b", b"\xff\xfe\xfd@@\n"])
def test_a_broken_file_waits_and_nothing_of_it_is_done(ann, text):
    ann.write(".courier", text)
    assert_waits(deliver(), "")
    assert ann.letters("ok") == []


@needs_root
def test_a_link_to_what_the_user_may_not_read_waits(ann, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("./Maildir\n")
    secret.chmod(0o600)
    (ann.home / ".courier").symlink_to(secret)
    assert_waits(deliver(), "Permission denied")


@needs_root
def test_a_mailbox_that_leads_out_of_the_home_gets_no_further_than_the_user(ann, tmp_path):
    target = tmp_path / "target"
    target.write_text("")
    (ann.home / "box").symlink_to(target)
    ann.write(".courier", "./box\n")
    assert verdict(deliver()) == ("deferred", "4.3.0")
    assert target.read_text() == ""


def test_an_mbox_that_is_no_file_waits(ann):
    os.mkfifo(ann.home / "box")
    ann.write(".courier", "./box\n")
    assert deliver().result is Result.DEFERRED


# --- the user's processes -----------------------------------------------------------------------


def test_a_child_that_is_killed_defers_its_message_and_no_other(ann):
    ann.write(".courier-kill", "| kill -9 $PPID; sleep 300\n")
    first, second = outcomes("ann", "ann-kill@mail.example.test", ANN)
    assert verdict(first) == ("deferred", "4.3.0")
    assert "without a report" in first.reply.text
    assert second.result is Result.SENT


def test_what_a_command_leaves_behind_is_ended_with_it(ann):
    ann.write(".courier", "| sleep 300 >/dev/null 2>&1 & echo $! >left\n")
    assert deliver().result is Result.SENT
    left = int((ann.home / "left").read_text())
    assert _is_over(left)


def _is_over(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")


def test_too_many_forwards_wait(ann):
    ann.write(".courier", "".join(f"a{number}@example.org\n" for number in range(1001)))
    outcome = deliver()
    assert (outcome.result, outcome.forwards) == (Result.DEFERRED, ())


@needs_root
def test_the_process_has_the_users_rights_and_nothing_of_ours(ann, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "secret")
    looks = ("cat /proc/$PPID/status >said", "ls /proc/self/fd >fds", "env >env")
    ann.write(".courier", f"| {'; '.join(looks)}\n")
    assert deliver().result is Result.SENT
    said = (ann.home / "said").read_text()
    numbers = "\t".join([str(ann.uid)] * 4)
    assert f"Uid:\t{numbers}\n" in said
    assert f"Groups:\t{ann.gid} \n" in said
    assert "CapEff:\t0000000000000000\n" in said
    assert "CapPrm:\t0000000000000000\n" in said
    assert "secret" not in (ann.home / "env").read_text()
    # Its three, and the directory that is being listed.
    assert (ann.home / "fds").read_text().split() == ["0", "1", "2", "3"]


@needs_root
def test_the_user_cannot_look_into_the_process_that_delivers(ann):
    """It was root and may remember what it was told then."""
    tries = ("cat /proc/$PPID/environ", "ls -l /proc/$PPID/fd")
    ann.write(".courier", f"| ({'; '.join(tries)}) >stolen 2>&1; true\n")
    deliver()
    assert (ann.home / "stolen").read_text().count("Permission denied") == 2


def test_limits_for_commands(ann):
    ann.write(".courier", "| ulimit -c >limits; ulimit -d >>limits; ulimit -t >>limits\n")
    deliver(delivery_context=settings(timeout=50))
    assert (ann.home / "limits").read_text().split() == ["0", str(2 << 20), "51"]


# --- accounts -----------------------------------------------------------------------------------


def test_root_gets_nothing():
    (outcome,) = outcomes("root", "root@mail.example.test")
    assert outcome.result is Result.BOUNCED
    assert "it needs an alias" in outcome.reply.text


def test_another_root_gets_nothing(monkeypatch):
    entry = pwd.struct_passwd(("toor", "x", 0, 0, "", "/root", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry)
    (outcome,) = outcomes("toor")
    assert outcome.result is Result.BOUNCED


def test_a_user_who_is_gone_waits():
    (outcome,) = outcomes("no-such-user")
    assert verdict(outcome) == ("deferred", "4.3.0")


def test_only_root_delivers_as_others(ann, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: ann.uid + 1)
    (outcome,) = outcomes("ann")
    assert str(outcome.reply) == "451 4.3.0 only a worker that is root can deliver as ann"


def test_a_worker_that_is_stopping_starts_nothing_new(ann):
    request = DeliveryRequest("account", "ann", (message(1, [ANN]),))
    stopping = dataclasses.replace(settings(), stopping=lambda: True)
    assert list(Account().deliver(request, stopping)) == []
    assert ann.letters() == []


def test_a_command_ends_with_the_worker_that_waits_for_it(ann):
    """Its message is tried again, and must not be at work twice."""
    ann.write(".courier", "| echo $$ >pid.new; mv pid.new pid; exec sleep 300\n")
    script = (
        "import sys\n"
        "from mta.transports.account_job import Job, Owner\n"
        "from mta.transports.account_process import Child, sealed_message\n"
        "owner = Owner('ann', int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])\n"
        "job = Job('a@b', '', '', None, 'courier', './x', True, 'b', (), 'k', False, 200.0, 0.0)\n"
        "Child(owner).carry_out(job, sealed_message(b''), lambda: None)\n"
    )
    arguments = [sys.executable, "-c", script, str(ann.uid), str(ann.gid), str(ann.home)]
    with subprocess.Popen(arguments, cwd=ROOT) as worker:
        pid = ann.home / "pid"
        eventually(pid.exists)
        worker.kill()
    eventually(lambda: _is_over(int(pid.read_text())))
