"""What holds for every import: shown first, all or nothing, twice is once, and nothing is hurt."""

import getpass
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError

from mta.directory import current_version
from mta.models import AccessRule, Alias, Domain, Mailbox, PolicyChange, Route, Settings
from mta.upgrade import apply
from mta.upgrade import systems as systems_of_upgrade
from tests.upgrade.conftest import FIXTURES, left, made

pytestmark = pytest.mark.django_db
systems = pytest.mark.parametrize("system", ["sendmail", "qmail", "courier"])


@systems
def test_a_dry_run_shows_the_same_and_does_nothing(run_import, system):
    before = current_version()
    shown = run_import(system, "--dry-run")
    assert current_version() == before
    assert not Domain.objects.exists()
    done = run_import(system)
    assert (shown["done"], done["done"]) == (False, True)
    assert shown["make"] == done["make"]
    assert shown["left"] == done["left"]


@systems
def test_twice_is_once(run_import, system):
    first = run_import(system)
    version, changes = current_version(), PolicyChange.objects.count()
    again = run_import(system)
    assert (again["make"], again["conflict"]) == ([], [])
    assert len(again["same"]) == len(first["make"]) + len(first["same"])
    assert (current_version(), PolicyChange.objects.count()) == (version, changes)


def test_changes_are_told_by_whom_they_were_made(run_import):
    run_import("qmail")
    actors = set(PolicyChange.objects.exclude(table="mta_settings").values_list("actor", flat=True))
    assert actors == {f"cli:{getpass.getuser()}"}


def test_what_is_here_is_left_as_it_is(run_import):
    Route.objects.create(domain="inner.example", relay="mine.example", port=26)
    Domain.objects.create(name="partner.example", kind=Domain.Kind.HOSTED)
    row = Settings.load()
    row.sizelimit = 4096
    row.save()
    report = run_import("qmail")
    conflicts = {(each["kind"], each["key"]): each["here"] for each in report["conflict"]}
    assert conflicts == {
        ("route", "inner.example"): "relay mine.example, port 26",
        ("domain", "partner.example"): "kind hosted",
        ("setting", "sizelimit"): "4096",
    }
    assert Route.objects.get(domain="inner.example").relay == "mine.example"
    assert Settings.load().sizelimit == 4096


def test_all_or_nothing(run_import, monkeypatch):
    whole = apply.apply

    def fails_at_the_end(plan):
        whole(plan)
        raise DatabaseError("no space left")

    monkeypatch.setattr(apply, "apply", fails_at_the_end)
    with pytest.raises(CommandError, match="no space left"):
        run_import("courier")
    assert not Domain.objects.exists()
    assert not Mailbox.objects.exists()


def test_a_password_that_was_changed_here_stays(run_import):
    run_import("courier")
    anna = Mailbox.objects.get(local_part="anna")
    anna.set_password("better")
    anna.save()
    report = run_import("courier")
    assert [each["key"] for each in report["conflict"]] == ["anna@example.com"]
    assert Mailbox.objects.get(local_part="anna").password == anna.password


def test_the_report_for_people(capsys):
    call_command("import", "sendmail", str(FIXTURES / "sendmail"), "--dry-run")
    said = capsys.readouterr().out
    assert "would be made:" in said
    assert "route inner.example: relay [192.0.2.25]  [mailertable:1]" in said
    assert "access:10: friend@" in said
    assert "0 here already\n" in said


def test_nothing_to_read(tmp_path):
    with pytest.raises(CommandError, match="holds nothing"):
        call_command("import", "sendmail", str(tmp_path))
    with pytest.raises(CommandError, match="no directory"):
        call_command("import", "sendmail", str(tmp_path / "missing"))


def test_a_link_that_leads_out_is_not_followed(run_import, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("secret: words@example.com\n")
    inside = tmp_path / "mail"
    inside.mkdir()
    (inside / "aliases").symlink_to(outside)
    (inside / "local-host-names").write_text("example.com\n")
    (inside / "access").mkdir()
    report = run_import("sendmail", directory=inside)
    assert left(report) == {"aliases:0": "cannot be read: it leads out of the directory"}
    assert made(report, "domain") == {"example.com": "kind local"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as somebody else")
def test_what_may_not_be_read_is_told():
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        shutil.copytree(FIXTURES / "courier", copy, dirs_exist_ok=True)
        copy.chmod(0o755)
        (copy / "bofh").chmod(0o600)
        (copy / "userdb").chmod(0o700)
        (copy / "smtpaccess").chmod(0o744)
        os.seteuid(65534)
        try:
            found = systems_of_upgrade.read(systems_of_upgrade.System.COURIER, copy, "mail.x.test")
        finally:
            os.seteuid(0)
    reasons = {str(each.origin): each.reason for each in found.left}
    for place in ("bofh", "userdb", "smtpaccess"):
        assert "Permission denied" in reasons[place]
    assert found.wanted


def _garbled(source: Path, target: Path, dice: random.Random) -> None:
    """Every file of the fixture with some octets changed and some lines cut."""
    for path in source.rglob("*"):
        if path.is_file():
            octets = bytearray(path.read_bytes())
            for _ in range(max(1, len(octets) // 20)):
                octets[dice.randrange(len(octets))] = dice.randrange(256)
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(bytes(octets) + os.linesep.encode() + b":" * 5000)


@systems
@pytest.mark.parametrize("seed", range(8))
def test_garbage_never_stops_the_rest(run_import, tmp_path, system, seed):
    _garbled(FIXTURES / system, tmp_path, random.Random(seed))
    report = run_import(system, directory=tmp_path)
    assert report["make"]
    assert report["left"]
    assert not [row for row in AccessRule.objects.all() if row.is_wide_relay]


def test_thousands_of_aliases(run_import, tmp_path):
    lines = "".join(f"user{number}: target{number}@example.com\n" for number in range(3000))
    (tmp_path / "aliases").write_text(lines)
    assert len(run_import("sendmail", directory=tmp_path)["make"]) == 3000
    assert Alias.objects.count() == 3000
