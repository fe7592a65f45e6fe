"""domain, mailbox, access, route and setting, as an administrator types them."""

import io
import sys

import pytest
from django.core.management.base import CommandError

from mta.models import AccessRule, Domain, Mailbox, PolicyChange, Route, Settings
from mta.protocol.scram import StoredKeys

pytestmark = pytest.mark.django_db


@pytest.fixture
def example(run):
    run("domain", "add", "example.test")


def test_a_domain_comes_and_goes(run, listed):
    run("domain", "add", "Example.TEST", "--note", "ours")
    run("domain", "add", ".backup.test", "--kind", "backup")
    assert listed("domain", "list") == [
        {"name": ".backup.test", "kind": "backup", "separators": "+", "note": ""},
        {"name": "example.test", "kind": "hosted", "separators": "+", "note": "ours"},
    ]
    assert "+-" in run("domain", "set", "example.test", "--separators", "+-")
    assert "no extensions" in run("domain", "set", "example.test", "--separators", "")
    assert Domain.objects.get(name="example.test").separators == ""
    assert "example.test" in run("domain", "list")
    run("domain", "remove", "EXAMPLE.test")
    assert [row["name"] for row in listed("domain", "list")] == [".backup.test"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("domain", "add", "example.test"), "there already"),
        (("domain", "add", "bad domain"), "not a valid name"),
        (("domain", "add", ".sub.test"), "backup MX"),
        (("domain", "remove", "other.test"), "no domain here"),
        (("domain", "remove", "-"), "not a valid name|no domain"),
        (("domain",), "required"),
        (("domain", "set", "example.test"), "--separators"),
        (("domain", "set", "example.test", "--separators", "+@"), "each once"),
        (("domain", "set", "example.test", "--separators", "++"), "each once"),
        (("domain", "add", "new.test", "--separators", "a"), "each once"),
        (("mailbox", "add", "bob@other.test", "--password", "x"), "domain add other.test"),
        (("mailbox", "add", "bob", "--password", "x"), "no domain"),
        (("mailbox", "add", "a/b@example.test", "--password", "x"), "slashes"),
        (("mailbox", "add", ".hidden@example.test", "--password", "x"), "malformed"),
        (("mailbox", "add", "bob@example.test", "--password", ""), "empty password"),
        (("mailbox", "add", "bob@example.test", "--quota", "many"), "--quota"),
        (("mailbox", "add", "bob@example.test", "--password", "a\tb"), "cannot be a password"),
        (("mailbox", "remove", "bob@example.test"), "no mailbox"),
        (("mailbox", "password", "bob@example.test", "--password", "x"), "no mailbox"),
        (("access", "set", "192.0.2.1/24", "allow"), "host bits"),
        (("access", "set", "192.0.2.0/24", "deny", "relay"), "cannot relay"),
        (("access", "set", "192.0.2.0/24", "perhaps"), "invalid choice"),
        (("access", "remove", "192.0.2.0/24"), "no rule"),
        (("access", "set", "192.0.2.0/24", "allow", "--sizelimit", "big"), "--sizelimit"),
        (("access", "set", "192.0.2.0/24", "allow", "--sizelimit", "1"), "greater than or equal"),
        (("access", "set", "192.0.2.0/24", "allow", "--mime", "eat"), "invalid choice"),
        (("access", "set", "192.0.2.0/24", "allow", "--spf", "--unset", "spf"), "set and unset"),
        (("mailbox", "set", "bob@example.test", "--quota", "1M"), "no mailbox"),
        (("mailbox", "add", "bob@example.test", "--sizelimit", "x"), "--sizelimit"),
        (("route", "set", "x.test", "host:0"), "not a port"),
        (("route", "set", "x.test", "a b"), "HOST"),
        (("route", "set", "bad domain", "host.test"), "not a valid name"),
        (("route", "remove", "x.test"), "no route"),
        (("setting", "set", "nothing", "1"), "no setting nothing"),
        (("setting", "set", "queuetime", "soon"), "not a duration"),
        (("setting", "set", "lease", "1s"), "2 seconds"),
        (("setting", "set", "sizelimit", "10"), "greater than or equal"),
        (("setting", "set", "maxrcpts", "-1"), "not a number"),
        (("setting", "set", "spf_mailfrom", "maybe"), "maybe is none of"),
        (("setting", "set", "checkhelo", "7"), "checkhelo"),
        (("setting", "set", "maxdaemons", "99999999999"), "maxdaemons"),
        (("setting", "set", "auth_in_clear_on_loopback", "maybe"), "neither on nor off"),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(run, example, arguments, words):
    before = PolicyChange.objects.count()
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    # The settings row may be made by the first look at it.
    assert PolicyChange.objects.exclude(table="mta_settings").count() == before


def test_a_change_bears_the_name_of_who_made_it(run, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    run("domain", "add", "example.test")
    assert PolicyChange.objects.get().actor == "cli:ann"


def test_a_mailbox_comes_and_goes(run, listed, example):
    run("mailbox", "add", "Bob@example.test", "--password", "s3cret", "--quota", "500M")
    (row,) = listed("mailbox", "list")
    assert row == {
        "address": "bob@example.test",
        "quota": 500 * 1024 * 1024,
        "sizelimit": 0,
        "submission_sizelimit": 0,
        "own_filter": False,
        "enabled": True,
        "password": True,
        "name": "",
    }
    assert "s3cret" not in str(PolicyChange.objects.values_list("after"))
    with pytest.raises(CommandError, match="there already"):
        run("mailbox", "add", "BOB@example.test", "--password", "x")
    with pytest.raises(CommandError, match="still has mailboxes"):
        run("domain", "remove", "example.test")
    assert "stays in" in run("mailbox", "remove", "bob@EXAMPLE.test")
    assert not Mailbox.objects.exists()
    run("domain", "remove", "example.test")
    assert not Domain.objects.exists()


def test_a_password_is_read_from_a_pipe(run, example, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("from the pipe\n"))
    run("mailbox", "add", "bob@example.test")
    before = Mailbox.objects.get()
    monkeypatch.setattr(sys, "stdin", io.StringIO("another\n"))
    run("mailbox", "password", "bob@example.test")
    after = Mailbox.objects.get()
    assert after.password != before.password
    assert StoredKeys.from_text(after.scram) != StoredKeys.from_text(before.scram)

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="empty"):
        run("mailbox", "password", "bob@example.test")


def test_access_is_set_again_and_removed(run, listed):
    run("access", "set", "192.0.2.0/24", "allow", "relay", "--note", "office")
    run("access", "set", "192.0.2.7", "deny", "--text", "go away")
    run("access", "set", "192.0.2.0/24", "allow")
    office, denied = listed("access", "list")
    assert (office["action"], office["relay"], office["note"]) == ("allow", False, "office")
    assert (denied["prefix"], denied["text"]) == ("192.0.2.7/32", "go away")
    run("access", "remove", "192.0.2.7")
    assert AccessRule.objects.count() == 1


def test_a_network_has_switches_of_its_own(run, listed):
    run("access", "set", "192.0.2.0/24", "block", "--sizelimit", "20M", "--no-checkdns")
    run("access", "set", "192.0.2.0/24", "block", "--tls-required", "--mime", "wrap", "--proxy")
    (row,) = listed("access", "list")
    assert (row["action"], row["proxy"]) == ("block", True)
    terms = {"sizelimit": 20 << 20, "checkdns": False, "tls_required": True, "mime": "wrap"}
    assert row["terms"] == terms
    assert "no checkdns" in run("access", "list")
    run("access", "set", "192.0.2.0/24", "allow", "--unset", "mime", "sizelimit", "--maxperip", "0")
    (row,) = listed("access", "list")
    assert row["terms"] == {"checkdns": False, "tls_required": True, "maxperip": 0}


def test_a_mailbox_has_limits_of_its_own(run, listed, example):
    run("mailbox", "add", "bob@example.test", "--password", "x", "--sizelimit", "5M")
    run("mailbox", "set", "bob@example.test", "--submission-sizelimit", "1M", "--name", "Bob")
    (row,) = listed("mailbox", "list")
    assert (row["sizelimit"], row["submission_sizelimit"], row["name"]) == (5 << 20, 1 << 20, "Bob")
    assert row["password"]


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "10.0.0.0/7", "::/0", "2001::/31"])
def test_relaying_by_half_the_world_must_be_meant(run, prefix):
    for confirmation in ((), ("--confirm", "0.0.0.0/1")):
        with pytest.raises(CommandError, match="--confirm"):
            run("access", "set", prefix, "allow", "relay", *confirmation)
    run("access", "set", prefix, "allow", "relay", "--confirm", prefix)
    assert AccessRule.objects.get().relay


def test_a_vast_network_may_be_named_without_relay(run):
    run("access", "set", "0.0.0.0/0", "deny")
    assert AccessRule.objects.get().action == "deny"


@pytest.mark.parametrize(
    ("arguments", "stored"),
    [
        (("Example.TEST", "relay.test"), ("example.test", "relay.test", 25, "")),
        (("*", "[192.0.2.1]:2525"), ("*", "[192.0.2.1]", 2525, "")),
        (("*", "127.0.0.1:2525"), ("*", "[127.0.0.1]", 2525, "")),
        (
            (".sub.test", "relay.test:587", "--security", "REQUIRED"),
            (".sub.test", "relay.test", 587, "REQUIRED"),
        ),
        (("x.test", "relay.test", "--security", "SMTPS"), ("x.test", "relay.test", 465, "SMTPS")),
        (("x.test", "discard"), ("x.test", "discard", 25, "")),
    ],
)
def test_routes(run, listed, arguments, stored):
    run("route", "set", *arguments)
    (row,) = listed("route", "list")
    assert (row["domain"], row["relay"], row["port"], row["security"]) == stored
    run("route", "set", stored[0], "other.test")
    assert Route.objects.get().relay == "other.test"
    run("route", "remove", stored[0])
    assert not Route.objects.exists()


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("queuetime", "1w", "1w"),
        ("warntime", "0", "0"),
        ("sizelimit", "10M", "10M"),
        ("maxrcpts", "50", "50"),
        ("auth_in_clear_on_loopback", "on", "on"),
        ("spf_mailfrom", "none,neutral,pass", "none,neutral,pass"),
        ("checkhelo", "1", "1"),
    ],
)
def test_settings(run, listed, name, text, shown):
    run("setting", "set", name, text)
    rows = {row["name"]: row for row in listed("setting", "list")}
    assert rows[name]["value"] == shown
    assert rows["retryalpha"] == {
        "name": "retryalpha",
        "value": "5m",
        "default": "5m",
        "help": "pause between the tries of a burst",
    }
    assert Settings.objects.count() == 1
