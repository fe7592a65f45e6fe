"""From the queue to a user's home and an alias's programs, by everything but the network."""

from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from django.utils import timezone

from mta import runtime, system_accounts
from mta.models import Alias, Domain, Mailbox, Recipient, Settings, State
from mta.protocol import envelope
from mta.protocol.envelope import Envelope, Source
from mta.system_users import SystemUser
from tests.support.accounts import User, system_user

LETTER = b"From: <a@b.example>\r\nSubject: hello\r\n\r\nHello\r\n"


@pytest.fixture
def una(transactional_db, tmp_path, monkeypatch) -> Iterator[User]:
    """A user of the system, who is the user for aliases, too."""
    monkeypatch.setattr(runtime, "mail_root", lambda: tmp_path / "mail")
    # All is done by this thread and its connection, which ends with the test.
    monkeypatch.setattr(runtime, "crew", lambda: lambda name: None)
    monkeypatch.setattr(runtime, "loans", lambda: SimpleNamespace(lent=nullcontext))
    runtime.directory.cache_clear()
    runtime.workshop.cache_clear()
    with system_user("una", monkeypatch) as user:
        known = {"una": SystemUser("una", max(user.uid, 1000), str(user.home))}
        monkeypatch.setattr(system_accounts, "find_user", known.get)
        Domain.objects.get_or_create(name=runtime.hostname())
        Settings.load()
        Settings.objects.update(systemaccounts=True, aliasuser="una")
        yield user
    runtime.directory.cache_clear()
    runtime.workshop.cache_clear()


def send(*locals_: str) -> dict[str, str]:
    """Queue a message for names of this host and deliver it; what has become of each recipient."""
    here = runtime.hostname()
    to = tuple(envelope.Recipient(f"{local}@{here}") for local in locals_)
    runtime.enqueue(Envelope("a@b.example", to, Source.LOCAL), LETTER)
    for transport in ("account", "local"):
        runtime.deliver(transport)
    rows = Recipient.objects.exclude(state=State.EXPANDED)
    return {row.address.removesuffix(f"@{here}"): row.state for row in rows}


def test_a_user_gets_mail_at_home(una):
    assert send("Una") == {"una": State.DELIVERED}
    (letter,) = una.letters()
    assert letter.endswith(b"\nHello\n")


def test_an_extension_is_for_its_instructions(una):
    una.write(".courier-lists-default", "./Lists\n")
    assert send("una-lists-x") == {"una-lists-x": State.DELIVERED}
    assert b"\nSubject: hello\n" in (una.home / "Lists").read_bytes()
    assert una.letters() == []


def test_instructions_that_went_after_the_door_fail(una):
    file = una.write(".courier-lists", "./Lists\n")
    runtime.directory().refresh()
    runtime.directory().resolve(f"una-lists@{runtime.hostname()}")
    file.unlink()
    assert send("una-lists") == {"una-lists": State.FAILED}


def test_an_alias_runs_its_program_beside_its_mailbox(una, tmp_path):
    domain = Domain.objects.get(name=runtime.hostname())
    Mailbox.objects.create(domain=domain, local_part="vera")
    here = runtime.hostname()
    targets = [f"vera@{here}", f"|cat >{una.home}/seen; echo $RECIPIENT >{una.home}/recipient"]
    Alias.objects.create(name=f"vera@{here}", targets=targets)
    states = send("vera")
    assert states == {"vera": State.DELIVERED, ".xalias/vera": State.DELIVERED}
    assert (una.home / "seen").read_bytes().endswith(b"\nHello\n")
    assert (una.home / "recipient").read_text() == f"vera@{here}\n"
    assert len(list((tmp_path / "mail").rglob("new/*"))) == 1


def test_an_alias_that_changed_while_mail_waited(una):
    here = runtime.hostname()
    row = Alias.objects.create(name=f"robot@{here}", targets=["|exit 75", f"una@{here}"])
    assert send("robot")["robot"] == State.QUEUED
    row.targets = [f"una@{here}"]
    row.save()
    Recipient.objects.filter(state=State.QUEUED).update(next_attempt=timezone.now())
    runtime.deliver("account")
    # What the programs were to get is nobody's any more, and its sender hears of it.
    robot = Recipient.objects.get(address=f"robot@{here}", transport="account")
    assert (robot.state, robot.last_reply[:3]) == (State.FAILED, "550")
