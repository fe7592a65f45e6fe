"""aliaslookup, as an administrator types it."""

import pytest
from django.core.management.base import CommandError

from mta import runtime, system_accounts
from mta.models import Alias, Domain, Mailbox, Message, Route, Settings, UucpNeighbor
from mta.system_users import SystemUser

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_directory", "town")]


@pytest.fixture
def town(db):
    here = Domain.objects.create(name="example.test")
    for name in ("bob", "ann"):
        Mailbox.objects.create(domain=here, local_part=name)
    Mailbox.objects.create(domain=here, local_part="dora", enabled=False)
    Domain.objects.create(name="virtual.test")
    Route.objects.create(domain="elsewhere.example", relay="smart.example", port=587)
    for name, *targets in (
        ("team@example.test", "bob@example.test", "ann@example.test", "x@elsewhere.example"),
        ("all@example.test", "team@example.test", "bob@example.test", "ghost@example.test"),
        ("@virtual.test", "*@example.test"),
        ("ring@example.test", "ring@example.test"),
    ):
        Alias.objects.create(name=name, targets=targets)


def test_every_step_and_every_end_is_told(run):
    told = run("aliaslookup", "All@example.test")
    for part in (
        "a list",
        "> team@example.test stands for bob@example.test, ann@example.test, x@elsewhere.example",
        "> bob@example.test has its copy already",
        "> ghost@example.test is nobody here",
        "= bob@example.test: mailbox, local",
        "= x@elsewhere.example: foreign, esmtp to relay:smart.example:587 by the route elsewhere.",
        "= ghost@example.test: unknown, fails",
    ):
        assert part in told
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("address", "standing", "ends"),
    [
        ("bob@example.test", "mailbox", ["bob@example.test"]),
        ("<Bob+tag@example.test>", "mailbox", ["bob@example.test"]),
        ("ann@virtual.test", "alias", ["ann@example.test"]),
        ("nobody@virtual.test", "unknown", []),
        ("dora@example.test", "disabled", []),
        ("ring@example.test", "loop", []),
        ("nobody@example.test", "unknown", []),
        ("a@foreign.example", "foreign", ["a@foreign.example"]),
        ("jürgen@foreign.example", "foreign", ["jürgen@foreign.example"]),
    ],
)
def test_where_an_address_ends(listed, address, standing, ends):
    found = listed("aliaslookup", address)
    assert found["standing"] == standing
    assert [end["address"] for end in found["ends"]] == ends


def test_a_name_without_a_domain_is_one_of_this_host(listed):
    assert listed("aliaslookup", "web")["address"] == f"web@{runtime.hostname()}"


def test_a_change_is_seen_at_once(listed):
    assert listed("aliaslookup", "new@example.test")["standing"] == "unknown"
    Alias.objects.create(name="new@example.test", targets=["bob@example.test"])
    assert listed("aliaslookup", "new@example.test")["standing"] == "alias"


@pytest.mark.parametrize(
    "address", ["", "<>", "a b@x.test", "a@", "@x.test", "a@b@c", "a\nb@x.test"]
)
def test_what_is_no_address_is_one_sentence(run, address):
    with pytest.raises(CommandError):
        run("aliaslookup", address)


@pytest.fixture
def users(monkeypatch, tmp_path):
    """The host has a user ann with instructions for ann-lists."""
    (tmp_path / ".courier-lists").touch()
    found = {"ann": SystemUser("ann", 1000, str(tmp_path))}
    monkeypatch.setattr(system_accounts, "find_user", found.get)
    Domain.objects.get_or_create(name=runtime.hostname())
    Settings.load()
    Settings.objects.update(systemaccounts=True)


@pytest.mark.usefixtures("users")
def test_users_of_the_system(run):
    here = runtime.hostname()
    told = run("aliaslookup", "Ann-Lists")
    assert f"ann-lists@{here}: a user of this system" in told.lower()
    assert f"> ann-lists@{here} is the user ann of this system, with the extension lists" in told
    assert f"= ann-lists@{here}: account" in told
    told = run("aliaslookup", "ann-other")
    assert "nobody here: refused" in told
    assert f"> ann-other@{here}: the user ann has no instructions for other" in told


@pytest.mark.usefixtures("users")
def test_programs_of_an_alias_are_one_recipient(listed, run):
    here = runtime.hostname()
    Alias.objects.create(name=f"ann@{here}", targets=[f"ann@{here}", "|/bin/vacation", "/srv/ann"])
    found = listed("aliaslookup", "ann")
    assert [(end["address"], end["standing"]) for end in found["ends"]] == [
        (f".xalias/ann@{here}", "account"),
        (f"ann@{here}", "account"),
    ]
    assert f"stands for ann@{here}, |/bin/vacation, /srv/ann" in run("aliaslookup", "ann")


def test_a_path_to_a_neighbour(run):
    UucpNeighbor.objects.create(path="food", flags="F")
    told = run("aliaslookup", "food!fruits!apple@example.test")
    assert "a path to a UUCP neighbour" in told
    assert "apple at food!fruits, by UUCP" in told
    assert f"= food!fruits!apple@{runtime.hostname()}: uucp, uucp to uucp:food!fruits" in told
