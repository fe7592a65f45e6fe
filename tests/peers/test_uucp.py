"""Mail for UUCP neighbours ends in the spool of the real uux, and the real uuxqt brings us some."""

from collections.abc import Iterator

import pytest

from tests.peers.conftest import ANNA, CACHE, PASSWORD
from tests.peers.letters import Letter, arrived, body_of, letter, report
from tests.peers.packages import NoPeer
from tests.peers.uucp import UucpHost
from tests.support.appliance import Appliance, transfer, wait_for

pytestmark = pytest.mark.peers

NODE = "example"


@pytest.fixture(scope="module")
def uucp(site: Appliance) -> Iterator[UucpHost]:
    """Our host has UUCP, and two neighbours."""
    try:
        host = UucpHost(CACHE, NODE, site.home, site.programs)
    except NoPeer as reason:
        pytest.skip(f"no uucp: {reason}")
    with host:
        site.manage("setting", "set", "uucpme", NODE)
        site.manage("setting", "set", "uuxflags", host.flags)
        site.manage("uucp", "set", "apple")
        site.manage("uucp", "set", "food", "--flags", "F")
        yield host
        site.manage("uucp", "remove", "apple")
        site.manage("uucp", "remove", "food")


def send(site: Appliance, mail: Letter, *recipients: str, options: tuple[str, ...] = ()) -> str:
    with site.submission(ANNA, PASSWORD) as client:
        return transfer(client, ANNA, recipients, mail.content, recipient_options=options)


def job(uucp: UucpHost, system: str, mail: Letter) -> tuple[str, bytes]:
    """The command and the message of the one job that has the letter, once it is there."""

    def found() -> list[tuple[str, bytes]]:
        return [each for each in uucp.jobs(system) if mail.token in each[1]]

    (only,) = wait_for(found, f"a job with {mail.token!r}")
    return only


def test_a_neighbour_gets_a_job(site: Appliance, uucp: UucpHost) -> None:
    mail = letter()
    queue_id = send(site, mail, "apple!john@example.test", f"apple!jane@{site.hostname}")
    command, message = job(uucp, "apple", mail)
    assert command == f"rmail -f {NODE}!example.test!anna john jane"
    assert message.startswith(b"From example.test!anna ")
    assert b" remote from example\n" in message.partition(b"\n")[0] + b"\n"
    assert body_of(message) == mail.body
    wait_for(lambda: not site.mailq(), "the queue to be empty")
    assert {each["state"] for each in site.trace(queue_id)["recipients"]} == {"relayed"}


def test_a_host_behind_a_neighbour(site: Appliance, uucp: UucpHost) -> None:
    mail = letter()
    send(site, mail, "food!fruits!apple@example.test")
    line = f"C rmail -f {NODE}!example.test!anna apple"
    wait_for(lambda: line in uucp.requests("food"), "a request for food")


def test_a_domain_by_uucp(site: Appliance, uucp: UucpHost) -> None:
    mail = letter()
    site.manage("route", "set", "far.test", "uucp:apple")
    send(site, mail, "bob@far.test", options=("NOTIFY=SUCCESS",))
    command, _ = job(uucp, "apple", mail)
    assert command.endswith(" far.test!bob")
    # UUCP says nothing of what becomes of it.
    report(site.maildir(ANNA), mail, "relayed")


def test_a_host_that_uux_does_not_know(site: Appliance, uucp: UucpHost) -> None:
    mail = letter()
    site.manage("route", "set", "lost.test", "uucp:nowhere")
    send(site, mail, "bob@lost.test")
    failure = report(site.maildir(ANNA), mail, "failed")
    assert "uux: nowhere: System not found" in failure.text
    assert str(site.home) not in failure.text


def test_mail_comes_from_a_neighbour(site: Appliance, uucp: UucpHost) -> None:
    mail = letter()
    text = mail.content.replace(b"\r\n", b"\n")
    uucp.receive(
        "rmail example.test!anna",
        b"From john Sun Mar  1 12:00:00 2026 remote from apple\n" + text,
    )
    stored = arrived(site.maildir(ANNA), mail)
    assert f"Return-Path: <apple!john@{site.hostname}>".encode() in stored
    assert b"from apple (by UUCP)" in stored
    assert body_of(stored) == mail.body
