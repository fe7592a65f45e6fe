"""Mail for programs on the running appliance: as whom they run, and what they send on."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_spine import STRANGER, letter
from tests.support.appliance import Appliance, wait_for

ANNA = "anna@programs.test"

pytestmark = pytest.mark.e2e


@pytest.fixture
def owner() -> pwd.struct_passwd:
    """Somebody the appliance may deliver as: nobody when it is root, else ourselves."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


@pytest.fixture
def place(owner: pwd.struct_passwd) -> Iterator[Path]:
    """A directory of the owner's."""
    directory = Path(tempfile.mkdtemp(prefix="instructions-"))
    os.chown(directory, owner.pw_uid, owner.pw_gid)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def anna(appliance: Appliance) -> Appliance:
    """The appliance with a mailbox for anna."""
    appliance.manage("domain", "add", "programs.test")
    appliance.manage("mailbox", "add", ANNA, "--password", "correct horse")
    return appliance


def test_a_program_gets_mail_and_sends_it_on(
    anna: Appliance, owner: pwd.struct_passwd, place: Path
) -> None:
    anna.manage("setting", "set", "aliasuser", owner.pw_name)
    program = f"||cat >{place}/new; id -u >{place}/uid; mv {place}/new {place}/seen; echo {ANNA}"
    anna.manage("alias", "set", "robot@programs.test", program, f"{place}/box/")
    mail = letter()
    queue_id = anna.send(STRANGER, ["robot@programs.test"], mail.content)

    wait_for((place / "seen").exists, "the program to be run")
    assert mail.token in (place / "seen").read_bytes()
    assert (place / "uid").read_text().split() == [str(owner.pw_uid)]
    (copy,) = anna.maildir(ANNA).wait_for_messages(1, mail.token)
    assert b"\nDelivered-To: robot@programs.test\n" in copy
    assert copy.startswith(f"Return-Path: <{STRANGER}>\nDelivered-To: {ANNA}\n".encode())
    wait_for(lambda: list(place.glob("box/new/*")), "the Maildir to be written")
    (recipient,) = anna.trace(queue_id)["recipients"]
    assert recipient["state"] == "delivered"
