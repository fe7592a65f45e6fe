"""alias set, list, remove and import."""

import io
import sys

import pytest
from django.core.management.base import CommandError

from mta import runtime
from mta.models import Alias, PolicyChange

pytestmark = pytest.mark.django_db


@pytest.fixture
def here() -> str:
    return runtime.hostname()


def test_an_alias_is_set_again_and_removed(run, listed, here):
    run("alias", "set", "Root", "bob@X.test", "carol", "bob@x.test")
    run("alias", "set", "@whole.test", "bob@x.test")
    assert listed("alias", "list") == [
        {"name": "@whole.test", "targets": ["bob@x.test"]},
        {"name": f"root@{here}", "targets": ["bob@x.test", f"carol@{here}"]},
    ]
    run("alias", "set", "root", "dan@x.test")
    assert Alias.objects.get(name=f"root@{here}").targets == ["dan@x.test"]
    run("alias", "remove", f"ROOT@{here}")
    run("alias", "remove", "@whole.test")
    assert not Alias.objects.exists()


def test_virtual_domains_are_set_and_imported(run, listed, import_text):
    run("alias", "set", "@one.test", "web")
    run("alias", "set", "@two.test", "*@one.test")
    import_text("@three.test: web!\n@four.test: old-*@one.test\n")
    assert {row["name"]: row["targets"] for row in listed("alias", "list")} == {
        "@one.test": ["web"],
        "@two.test": ["*@one.test"],
        "@three.test": ["web!"],
        "@four.test": ["old-*@one.test"],
    }


def test_only_files_are_included(import_text):
    with pytest.raises(CommandError, match="nothing was imported"):
        import_text("a: :include:/dev/zero\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "@v.test", "a*"), "account"),
        (("set", "@v.test", "**@x.test"), "only once"),
        (("set", "a b", "x@y.test"), "malformed"),
        (("set", "a", "x@"), "the domain is empty"),
        (("set", "a"), "required"),
        (("set", "a", "|"), "a command is expected"),
        (("set", "a", "//"), "a path is expected"),
        (("set", "a", "|/bin/x\n|/bin/y"), "control character"),
        (("set", "a", "|" + "x" * 1000), "at most 1000"),
        (("remove", "nobody"), "no alias here"),
    ],
)
def test_mistakes(run, arguments, words):
    with pytest.raises(CommandError, match=words):
        run("alias", *arguments)
    assert not Alias.objects.exists()


@pytest.fixture
def import_text(run, tmp_path):
    def import_text(text: str, *options: str) -> str:
        path = tmp_path / "aliases"
        path.write_text(text)
        return run("alias", "import", str(path), *options)

    return import_text


def test_import_adds_changes_and_leaves_alone(run, import_text, tmp_path, here):
    team = tmp_path / "team"
    team.write_text("ann@x.test, bob@x.test\n")
    run("alias", "set", "old", "x@x.test")
    run("alias", "set", "same", "y@x.test")
    run("alias", "set", "other", "z@x.test")

    said = import_text(f"old: new@x.test\nsame: y@x.test\nteam: :include:{team}\n")

    assert said.strip() == "1 added, 1 changed, 1 as they were"
    assert dict(Alias.objects.values_list("name", "targets")) == {
        f"old@{here}": ["new@x.test"],
        f"same@{here}": ["y@x.test"],
        f"team@{here}": ["ann@x.test", "bob@x.test"],
        f"other@{here}": ["z@x.test"],
    }


def test_import_again_changes_nothing(import_text):
    import_text("a: b@x.test\n")
    before = PolicyChange.objects.count()
    assert import_text("a: b@x.test\n").strip() == "0 added, 0 changed, 1 as they were"
    assert PolicyChange.objects.count() == before


def test_import_from_standard_input(run, monkeypatch, here):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: b@x.test\n")))
    run("alias", "import", "-")
    assert Alias.objects.get().name == f"a@{here}"


def test_a_mistake_imports_nothing(import_text):
    with pytest.raises(CommandError, match="nothing was imported"):
        import_text("good: b@x.test\nno colon\n", "--skip-unsupported")
    assert not Alias.objects.exists()


def test_programs_and_files_are_set_and_imported(run, listed, import_text, here):
    run("alias", "set", "robot", "|/bin/robot --mail", "/var/mail/robot", "bob", '"|/bin/log a, b"')
    import_text('archive: /var/mail/archive, "|/bin/index -q"\n')
    assert listed("alias", "list") == [
        {"name": f"archive@{here}", "targets": ["/var/mail/archive", "|/bin/index -q"]},
        {
            "name": f"robot@{here}",
            "targets": [
                *("|/bin/robot --mail", "/var/mail/robot", f"bob@{here}", "|/bin/log a, b"),
            ],
        },
    ]
    assert import_text('archive: /var/mail/archive, "|/bin/index -q"\n').startswith("0 added")


def test_programs_of_an_included_list_are_left_out_only_when_asked(import_text, tmp_path, here):
    team = tmp_path / "team"
    team.write_text("b@x.test, |/bin/prog\n")
    text = f"a: :include:{team}\n"
    with pytest.raises(CommandError, match="--skip-unsupported"):
        import_text(text)
    assert not Alias.objects.exists()

    said = import_text(text, "--skip-unsupported")
    assert f"line 1: a@{here}: a list that is included names the command |/bin/prog" in said
    assert Alias.objects.get().targets == ["b@x.test"]


def test_a_file_that_cannot_be_read_is_one_sentence(run, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        run("alias", "import", str(tmp_path / "nothing"))
    binary = tmp_path / "binary"
    binary.write_bytes(b"a: b\xff@x.test\n")
    with pytest.raises(CommandError, match="UTF-8"):
        run("alias", "import", str(binary))


def test_thousands_of_aliases_are_one_import(import_text):
    text = "".join(f"user{n}@x.test: target{n}@y.test\n" for n in range(3000))
    assert import_text(text).startswith("3000 added")
    assert Alias.objects.count() == 3000
