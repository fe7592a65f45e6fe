"""Site filters from a shell."""

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from mta.directory import Directory
from mta.models import PolicyChange, SiteFilter

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_directory")]

MESSAGE = b"Subject: bye\n\nworld\n"


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "no-bye.sieve"
    path.write_text('require "reject"; if header :is "subject" "bye" { reject "no"; }')
    return str(path)


def test_a_filter_comes_changes_and_goes(run, listed, script):
    said = run("filter", "set", "no-bye", "--kind", "sieve", "--text", script)
    assert said == "no-bye: Content (end of DATA), log only\n"
    run("filter", "set", "no-bye", "--state", "enforce", "--position", "5", "--timeout", "10s")
    run("filter", "set", "no-bye", "--sources", "submission", "local", "--no-mandatory")
    (row,) = listed("filter", "list")
    assert (row["state"], row["position"], row["timeout"]) == ("enforce", 5, "10s")
    assert (row["sources"], row["mandatory"]) == (["local", "submission"], False)
    assert "no-bye" in run("filter", "list")
    (terms,) = Directory("mail.example.test").refresh().site_filters
    assert terms.name == "no-bye"
    run("filter", "remove", "no-bye")
    assert not SiteFilter.objects.exists()
    assert {change.actor.partition(":")[0] for change in PolicyChange.objects.all()} == {"cli"}
    with pytest.raises(CommandError, match="there is no filter no-bye"):
        run("filter", "remove", "no-bye")


def test_the_options_of_a_kind(run):
    run(
        *("filter", "set", "scan", "--kind", "command", "--option", "argv=/bin/cat"),
        *("--option", "argv=-n", "--option", "crlf=yes", "--option", "memory=64"),
    )
    options = SiteFilter.objects.get().options
    assert options == {"argv": ["/bin/cat", "-n"], "crlf": True, "memory": 64}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kind", "gone"], "there is no kind of filter 'gone'"),
        (["--kind", "sieve"], "there is no Sieve text"),
        (["--kind", "sieve", "--text", "/no/such/file"], "cannot be read"),
        (["--kind", "command"], "argv: the command"),
        (["--kind", "command", "--option", "colour=red"], "'colour=red' is not one of argv=..."),
        (["--kind", "command", "--option", "memory=much"], "memory: 'much' is not a number"),
        (["--kind", "command", "--option", "crlf=maybe"], "crlf is yes or no"),
    ],
)
def test_what_cannot_work_is_told(run, words, sentence):
    with pytest.raises(CommandError, match=sentence):
        run("filter", "set", "test", *words)
    assert not SiteFilter.objects.exists()


def test_all_rows_are_checked(run):
    SiteFilter.objects.create(name="good", kind="sieve", text="keep;")
    assert run("filter", "check") == "all filters can work\n"
    SiteFilter.objects.create(name="bad", kind="sieve", text="what")
    with pytest.raises(CommandError, match="cannot work: 1 of the filters"):
        run("filter", "check")


def test_a_message_is_tried(run, listed, script, tmp_path):
    run("filter", "set", "no-bye", "--kind", "sieve", "--text", script, "--state", "enforce")
    message = tmp_path / "message"
    message.write_bytes(MESSAGE)
    (word,) = listed("filter", "test", str(message), "--to", "ann@example.test")
    assert (word["filter"], word["verdict"], word["reply"]) == (
        "no-bye",
        "refuse",
        "550 5.7.1 no",
    )
    assert "the message would be: 550 5.7.1 no" in run("filter", "test", str(message))
    run("filter", "set", "no-bye", "--state", "log")
    assert "the message would be: accepted" in run("filter", "test", str(message))
    assert run("filter", "test", str(message), "--source", "uucp").startswith("the message would")
