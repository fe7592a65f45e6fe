"""A change of policy is in force for the next MAIL, in every ingress process."""

import smtplib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.appliance import Appliance, wait_for

pytestmark = pytest.mark.e2e

SENDER = "anna@policy.test"


@pytest.fixture(scope="module")
def site(appliance: Appliance) -> Appliance:
    appliance.manage("domain", "add", "policy.test")
    appliance.manage("mailbox", "add", SENDER, "--password", "correct horse")
    return appliance


@pytest.fixture
def sessions(site: Appliance) -> Iterator[dict[int, smtplib.SMTP]]:
    """One open session in each ingress process, by process id."""
    pids = {pid for part, pid in site.parts().items() if part.startswith("ingress")}
    assert len(pids) == 2
    with ExitStack() as stack:

        def one_in_each() -> dict[int, smtplib.SMTP]:
            # The kernel spreads connections over the processes as it likes.
            client = stack.enter_context(site.smtp())
            found[served_by(client, pids)] = client
            return found if found.keys() == pids else {}

        found: dict[int, smtplib.SMTP] = {}
        yield wait_for(one_in_each, "a session in each ingress process")


def served_by(client: smtplib.SMTP, pids: set[int]) -> int:
    """The process that has the other end of the session's connection."""
    assert client.sock is not None
    inode = _inode_of_peer(client.sock.getsockname()[1])
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return pid
            except FileNotFoundError:
                continue
    raise AssertionError("no ingress process has this connection")


def _inode_of_peer(port: int) -> str:
    """The socket whose remote port is this one, from the kernel's tables."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[2].rpartition(":")[2], 16) == port and fields[9] != "0":
                return fields[9]
    raise AssertionError(f"no connection from port {port}")


def mail_in_each(sessions: dict[int, smtplib.SMTP]) -> set[tuple[int, bytes]]:
    """What MAIL is answered in each process."""
    answers = set()
    for client in sessions.values():
        answers.add(client.mail(SENDER))
        client.rset()
    return answers


@contextmanager
def changed(site: Appliance, change: tuple[str, ...], back: tuple[str, ...]) -> Iterator[None]:
    site.manage(*change)
    try:
        yield
    finally:
        site.manage(*back)


@pytest.mark.parametrize(
    ("change", "back", "answer"),
    [
        (
            ("access", "set", "127.0.0.1", "deny", "--text", "closed today"),
            ("access", "remove", "127.0.0.1"),
            (554, b"5.7.1 closed today"),
        ),
        (
            ("badsender", "set", SENDER),
            ("badsender", "remove", SENDER),
            (550, b"5.7.1 mail from this address is not accepted"),
        ),
    ],
    ids=["access rule", "bad sender"],
)
def test_open_sessions_of_both_processes_see_a_change(
    site: Appliance,
    sessions: dict[int, smtplib.SMTP],
    change: tuple[str, ...],
    back: tuple[str, ...],
    answer: tuple[int, bytes],
) -> None:
    assert {code for code, _ in mail_in_each(sessions)} == {250}
    with changed(site, change, back):
        assert mail_in_each(sessions) == {answer}
    assert {code for code, _ in mail_in_each(sessions)} == {250}
