"""maildrop and procmail of Debian as delivery agents, as one word and with arguments.

They run as a user whom only a wrapped name service knows, on libraries of their own tree.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.transports.base import Outcome, Result
from tests.peers.conftest import CACHE
from tests.peers.packages import NoPeer, tree
from tests.support.accounts import User, system_user
from tests.transports.test_account import LINES, TEXT, deliver, settings

PACKAGES = ("maildrop", "procmail", "libnss-wrapper")
_WRAPPER = """\
#!/bin/sh
export NSS_WRAPPER_PASSWD="$HOME/.passwd" NSS_WRAPPER_GROUP="$HOME/.group"
for word; do echo "$word"; done >"$HOME/words"
ls -l /proc/self/fd/0 >"$HOME/input"
exec {loader} --preload {names} --library-path {libraries} {program} "$@" {more}
"""
# Debian's procmail finds no file of its own where it was not installed.
_MORE = {"maildrop": "", "procmail": "./.procmailrc"}


@pytest.fixture(scope="module")
def agents() -> Iterator[Path]:
    """A directory with the two programs, which every user can read."""
    if os.geteuid() != 0:
        pytest.skip("only root can deliver as a user whom nobody else knows")
    try:
        unpacked = tree(CACHE, PACKAGES)
    except NoPeer as reason:
        pytest.skip(f"no maildrop: {reason}")
    place = Path(tempfile.mkdtemp(prefix="agents-"))
    place.chmod(0o755)
    try:
        shutil.copytree(unpacked, place / "tree", symlinks=True, copy_function=_link)
        for name, more in _MORE.items():
            _wrap(place / name, place / "tree", more)
        yield place
    finally:
        shutil.rmtree(place)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _wrap(program: Path, root: Path, more: str) -> None:
    libraries = {str(path.parent) for path in root.rglob("*.so*") if "/lib" in str(path.parent)}
    (loader,) = root.glob("lib64/ld-linux-*.so.*")
    (names,) = root.rglob("libnss_wrapper.so")
    program.write_text(
        _WRAPPER.format(
            loader=loader,
            names=names,
            libraries=":".join(sorted(libraries)),
            program=root / "usr/bin" / program.name,
            more=more,
        )
    )
    program.chmod(0o755)


@pytest.fixture
def ann(monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    with system_user("ann", monkeypatch) as user:
        user.write(".passwd", f"ann:x:{user.uid}:{user.gid}::{user.home}:/bin/sh\n")
        user.write(".group", f"ann:x:{user.gid}:\n")
        yield user


def by_default(instructions: str) -> Outcome:
    return deliver(delivery_context=settings(default_delivery=instructions))


def words(ann: User) -> list[str]:
    """What the agent was told."""
    return (ann.home / "words").read_text().splitlines()


def test_maildrop_gets_the_message_itself(agents, ann):
    ann.write(".mailfilter", 'if (/^Subject: contract/)\n{\n  to "./sorted"\n}\n')
    outcome = by_default(f"| {agents}/maildrop")
    assert outcome.result is Result.SENT, outcome.reply
    first, rest = (ann.home / "sorted").read_bytes().split(b"\n", 1)
    assert first.startswith(b"From sender@example.net ")
    assert rest == LINES + TEXT + b"\n"
    delivered_to, return_path = LINES.decode().splitlines()
    assert words(ann) == ["-f", "sender@example.net", "-A", delivered_to, "-A", return_path]
    assert "/memfd:message" in (ann.home / "input").read_text()


def test_maildrop_says_no(agents, ann):
    ann.write(".mailfilter", 'echo "not wanted"\nEXITCODE=77\nexit\n')
    outcome = by_default(f"| {agents}/maildrop")
    assert outcome.result is Result.BOUNCED
    assert "not wanted" in outcome.reply.text


def test_maildrop_writes_a_maildir_for_an_instruction_file(agents, ann):
    ann.write(".courier", f"| {agents}/maildrop\n")
    ann.write(".mailfilter", 'to "./Maildir"\n')
    for part in ("", "new", "cur", "tmp"):
        (ann.home / "Maildir" / part).mkdir(0o700)
        os.chown(ann.home / "Maildir" / part, ann.uid, ann.gid)
    assert deliver().result is Result.SENT
    assert ann.letters() == [LINES + TEXT]


def test_maildrop_with_arguments_of_its_own(agents, ann):
    ann.write("rules", 'to "./box"\n')
    outcome = by_default(f"| {agents}/maildrop -V 1 ./rules")
    assert outcome.result is Result.SENT, outcome.reply
    assert words(ann) == ["-V", "1", "./rules"]
    assert TEXT in (ann.home / "box").read_bytes()


def test_procmail_gets_the_lines_of_the_delivery_too(agents, ann):
    ann.write(".procmailrc", ":0\nbox\n")
    outcome = by_default(f"| {agents}/procmail")
    assert outcome.result is Result.SENT, outcome.reply
    first, rest = (ann.home / "box").read_bytes().split(b"\n", 1)
    assert first.startswith(b"From sender@example.net ")
    assert rest == LINES + TEXT + b"\n"
    assert words(ann) == ["-f", "sender@example.net"]


def test_procmail_says_later(agents, ann):
    ann.write(".procmailrc", "EXITCODE=75\n:0\n/dev/null\n")
    assert by_default(f"| {agents}/procmail").result is Result.DEFERRED


def test_whoever_needs_a_shell_gets_one(agents, ann):
    ann.write(".procmailrc", ":0\nbox\n")
    outcome = by_default(f'| DEFAULT=x {agents}/procmail -f "$SENDER"')
    assert outcome.result is Result.SENT, outcome.reply
    assert words(ann) == ["-f", "sender@example.net"]
