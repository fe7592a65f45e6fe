"""Programs and webhooks from a shell."""

import io
import json

import pytest
from django.core.management.base import CommandError

from mta.directory import Directory
from mta.models import DeliveryLimit, PolicyChange, Program, Route, Webhook

pytestmark = pytest.mark.django_db

ARCHIVE = (
    "program",
    "set",
    "archive",
    "--user",
    "nobody",
    "--run",
    "/bin/archive",
    "-f",
    "${sender}",
)
SECRET = "a secret of one's own"


def test_a_program_comes_changes_and_goes(run, listed):
    assert "pipe:archive" in run(*ARCHIVE)
    run("program", "set", "archive", "--timeout", "5m", "--memory", "256M", "--cpu", "10s")
    run("program", "set", "archive", "--no-separately", "--crlf", "--simultaneous", "2")
    (row,) = listed("program", "list")
    assert row["argv"] == ["/bin/archive", "-f", "${sender}"]
    assert (row["user"], row["timeout"], row["cpu"]) == ("nobody", "5m", "10s")
    assert row["memory"] == 256 << 20
    assert (row["separately"], row["crlf"], row["simultaneous"]) == (False, True, 2)
    limit = DeliveryLimit.objects.get()
    assert (limit.transport, limit.nexthop, limit.simultaneous) == ("pipe", "pipe:archive", 2)
    assert "/bin/archive, -f, ${sender}" in run("program", "list")
    run("program", "remove", "archive")
    assert listed("program", "list") == []
    assert not DeliveryLimit.objects.exists()


def test_no_limit_of_its_own(run, listed):
    run(*ARCHIVE)
    run("program", "set", "archive", "--simultaneous", "2")
    run("program", "set", "archive", "--simultaneous", "0")
    assert listed("program", "list")[0]["simultaneous"] is None
    assert not DeliveryLimit.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "archive"), "argv"),
        (("set", "archive", "--run", "archive"), "absolute path"),
        (("set", "archive", "--run", "/bin/x", "${all}"), "not one of"),
        (("set", "Archive", "--run", "/bin/x"), "not a name"),
        (("set", "a", "--user", "root", "--run", "/bin/x"), "root"),
        (("set", "a", "--user", "no-such-user", "--run", "/bin/x"), "no system account"),
        (("set", "a", "--timeout", "soon", "--run", "/bin/x"), "duration"),
        (("set", "a", "--timeout", "0", "--run", "/bin/x"), "timeout"),
        (("set", "a", "--memory", "1K", "--run", "/bin/x"), "memory"),
        (("remove", "archive"), "there is no program"),
    ],
)
def test_a_program_that_cannot_work(run, arguments, words):
    with pytest.raises(CommandError, match=words):
        run("program", *arguments)
    assert not Program.objects.exists()


def hook(run, *arguments: str) -> str:
    return run("webhook", "set", "app", "https://app.example.com/mail", *arguments)


def test_a_webhook_comes_changes_and_goes(run, listed):
    said = hook(run)
    made = said.split(": ")[-1].strip()
    assert Webhook.objects.get().facts().secret == made
    assert made not in repr(Webhook.objects.get().facts())
    assert made not in run("webhook", "set", "app", "--form", "json", "--sizelimit", "10M")
    (row,) = listed("webhook", "list")
    assert (row["url"], row["form"], row["sizelimit"]) == (
        "https://app.example.com/mail",
        "json",
        10 << 20,
    )
    assert made not in run("webhook", "list")
    assert "secret" not in row
    run("webhook", "remove", "app")
    assert listed("webhook", "list") == []


def test_a_secret_of_ones_own(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET + "\n"))
    assert SECRET not in hook(run, "--secret-stdin")
    assert Webhook.objects.get().facts().secret == SECRET
    assert "not shown again" in run("webhook", "set", "app", "--new-secret")
    assert Webhook.objects.get().facts().secret != SECRET


def test_the_history_has_no_secret(run):
    hook(run)
    stored = Webhook.objects.get().secret
    run("webhook", "set", "app", "--new-secret", "--note", "x")
    history = json.dumps(list(PolicyChange.objects.values("before", "after")))
    assert "app.example.com" in history
    assert stored not in history
    assert Webhook.objects.get().secret not in history


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "app"), "url"),
        (("set", "app", "app.example.com"), "https"),
        (("set", "app", "http://app.example.com/"), "private network"),
        (("set", "app", "https://127.0.0.1/"), "private network"),
        (("set", "app", "http://8.8.8.8/", "--private"), "without TLS"),
        (("set", "a b", "https://app.example.com/"), "not a name"),
        (("set", "app", "https://app.example.com/", "--timeout", "2h"), "timeout"),
        (("remove", "app"), "there is no webhook"),
    ],
)
def test_a_webhook_that_cannot_work(run, arguments, words):
    with pytest.raises(CommandError, match=words):
        run("webhook", *arguments)
    assert not Webhook.objects.exists()


def test_a_secret_that_is_too_short(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(CommandError, match="16"):
        hook(run, "--secret-stdin")


@pytest.mark.parametrize("target", ["pipe:archive", "http:app"])
def test_a_route_names_what_is_there_and_keeps_it_there(run, target):
    with pytest.raises(CommandError, match="add it first"):
        run("route", "set", "lists.example.com", target)
    run(*ARCHIVE)
    hook(run)
    run("route", "set", "lists.example.com", target)
    kind = "program" if target.startswith("pipe") else "webhook"
    name = target.partition(":")[2]
    with pytest.raises(CommandError, match=r"is in use and stays: lists\.example\.com"):
        run(kind, "remove", name)
    run("route", "remove", "lists.example.com")
    assert not Route.objects.exists()
    run(kind, "remove", name)


def test_a_change_is_in_force_for_the_next_batch(run):
    directory = Directory("mail.example.test")
    directory.refresh()
    assert directory.program("archive") is None
    run(*ARCHIVE)
    hook(run)
    directory.refresh()
    program, webhook = directory.program("archive"), directory.webhook("app")
    assert program
    assert program.arguments == ("/bin/archive", "-f", "${sender}")
    assert webhook
    assert webhook.url == "https://app.example.com/mail"
    run("program", "set", "archive", "--no-enabled")
    directory.refresh()
    off = directory.program("archive")
    assert off
    assert not off.enabled


def test_a_secret_of_another_appliance_cannot_be_used(run, settings):
    hook(run)
    settings.SECRET_KEY = "another"
    directory = Directory("mail.example.test")
    directory.refresh()
    assert directory.webhook("app") is None
