"""Users of the system as recipients: whose an address of the host's own domain is."""

import threading

import pytest

from mta import system_accounts
from mta.directory import Directory
from mta.models import Alias, Domain, Mailbox, Route, Settings
from mta.policy.facts import Standing
from mta.policy.routing import CannotTell
from mta.system_users import SystemUser
from tests.support.waiting import eventually

HOST = "mail.example.test"


@pytest.fixture
def directory(transactional_db, tmp_path, monkeypatch) -> Directory:
    """Of a host with the users ann (with a home), low (a small number) and root."""
    users = {
        "ann": SystemUser("ann", 1000, str(tmp_path)),
        "low": SystemUser("low", 500, str(tmp_path)),
        "root": SystemUser("root", 0, str(tmp_path)),
        "nobody": SystemUser("nobody", 65534, "/nonexistent"),
    }
    monkeypatch.setattr(system_accounts, "find_user", users.get)
    Domain.objects.create(name=HOST)
    Domain.objects.create(name="example.test")
    Settings.load()
    Settings.objects.update(systemaccounts=True)
    made = Directory(HOST)
    made.refresh()
    return made


def test_users_are_nobody_until_it_is_switched_on(directory):
    Settings.objects.update(systemaccounts=False)
    directory.refresh()
    assert directory.account(f"ann@{HOST}") is None
    assert directory.resolve(f"ann@{HOST}").standing is Standing.UNKNOWN


@pytest.mark.parametrize("local", ["ann", "Ann", "ann-lists", "ann+lists", "ann-a-b"])
def test_a_user_and_his_extensions(directory, local):
    assert directory.account(f"{local}@{HOST}") == "ann"


@pytest.mark.parametrize(
    "local", ["root", "low", "nobody", "nobody-here", ".ann", "a!ann", "ann/x", "-ann"]
)
def test_who_is_no_account(directory, local):
    address = f"{local}@{HOST}"
    assert directory.account(address) is None
    assert directory.resolve(address).standing is Standing.UNKNOWN


def test_not_in_another_domain_and_not_when_a_route_takes_the_host_elsewhere(directory):
    assert directory.account("ann@example.test") is None
    assert directory.account("ann@elsewhere.example") is None
    Route.objects.create(domain=HOST, relay="192.0.2.1")
    directory.refresh()
    assert directory.account(f"ann@{HOST}") is None


def test_a_mailbox_and_an_alias_come_before_a_user(directory):
    Mailbox.objects.create(domain=Domain.objects.get(name=HOST), local_part="ann")
    directory.refresh()
    assert directory.account(f"ann@{HOST}") is None
    assert directory.resolve(f"ann@{HOST}").standing is Standing.MAILBOX
    Mailbox.objects.all().delete()
    Alias.objects.create(name=f"ann@{HOST}", targets=["bob@elsewhere.example"])
    directory.refresh()
    assert directory.resolve(f"ann@{HOST}").targets == ("bob@elsewhere.example",)


def test_an_extension_needs_instructions(directory, tmp_path):
    (tmp_path / ".courier-lists-default").touch()
    accepted = directory.resolve(f"ann-lists-x@{HOST}")
    assert (accepted.standing, accepted.targets) == (Standing.ACCOUNT, (f"ann-lists-x@{HOST}",))
    # Neither the user without the extension nor a catch-all gets what the user does not want.
    Alias.objects.create(name=f"@{HOST}", targets=["bob@elsewhere.example"])
    directory.refresh()
    assert directory.resolve(f"ann-other@{HOST}").standing is Standing.UNKNOWN
    assert directory.resolve(f"else@{HOST}").standing is Standing.ALIAS


def test_the_name_of_the_files_is_a_setting(directory, tmp_path):
    (tmp_path / ".qmail-lists").touch()
    assert directory.resolve(f"ann-lists@{HOST}").standing is Standing.UNKNOWN
    Settings.objects.update(dotextension="qmail")
    directory.refresh()
    assert directory.resolve(f"ann-lists@{HOST}").standing is Standing.ACCOUNT


def test_what_cannot_be_looked_at_may_exist(directory, tmp_path):
    # A loop of links fails for root, too, with an error that is not "no such file".
    (tmp_path / ".courier-loop").symlink_to(".courier-loop")
    assert directory.resolve(f"ann-loop@{HOST}").standing is Standing.ACCOUNT


def test_programs_of_an_alias(directory):
    Alias.objects.create(
        name="sales@example.test", targets=["|/bin/log sales", "bob@example.test", "/srv/sales"]
    )
    directory.refresh()
    resolution = directory.resolve("sales@example.test")
    assert resolution.targets == ("sales@example.test", "bob@example.test")
    assert directory.account("sales@example.test") == "alias:sales@example.test"
    assert directory.account("bob@example.test") is None
    assert directory.alias_instructions("sales@example.test") == ("|/bin/log sales", "/srv/sales")


def test_an_alias_that_names_itself_keeps_its_mailbox(directory):
    Alias.objects.create(name=f"ann@{HOST}", targets=[f"ann@{HOST}", "|/bin/log"])
    directory.refresh()
    programs, own = directory.resolve(f"ann@{HOST}").targets
    assert own == f"ann@{HOST}"
    assert directory.account(own) == "ann"
    assert directory.account(programs) == f"alias:ann@{HOST}"


def test_a_name_service_that_is_away_is_no_answer(directory, monkeypatch):
    def away(name: str) -> SystemUser | None:
        raise OSError(11, "try again")

    monkeypatch.setattr(system_accounts, "find_user", away)
    Alias.objects.create(name="team@example.test", targets=["a@b.example", f"ann@{HOST}"])
    directory.refresh()
    assert directory.resolve(f"ann@{HOST}").standing is Standing.UNANSWERED
    # A list is never delivered in part.
    team = directory.resolve("team@example.test")
    assert (team.standing, team.targets) == (Standing.UNANSWERED, ())
    with pytest.raises(CannotTell):
        directory.account(f"ann@{HOST}")


def test_a_name_service_that_hangs_holds_nobody_up_twice(directory, monkeypatch):
    go_on = threading.Event()
    asked = []

    def hang(name: str) -> SystemUser | None:
        asked.append(name)
        go_on.wait(30)
        return None

    monkeypatch.setattr(system_accounts, "find_user", hang)
    monkeypatch.setattr(system_accounts, "PATIENCE_SECONDS", 0.01)
    for name in ("one", "two", "three"):
        assert directory.resolve(f"{name}@{HOST}").standing is Standing.UNANSWERED
    assert asked == ["one"]
    go_on.set()
    monkeypatch.setattr(system_accounts, "PATIENCE_SECONDS", 30.0)
    eventually(lambda: directory.resolve(f"four@{HOST}").standing is Standing.UNKNOWN)
