"""A qmail's /var/qmail becomes rows."""

import json

import pytest

from mta.models import AccessRule, Alias, BadSender, Domain, Mailbox, Route, Settings
from tests.upgrade.conftest import left, made, nexthop, reply

pytestmark = pytest.mark.django_db


def test_domains(run_import):
    assert made(run_import("qmail"), "domain") == {
        "mail.example.test": "kind hosted",
        "shop.example": "kind hosted",
        "corp.example": "kind hosted",
        "solo.example": "kind hosted",
        "old.example.com": "kind local",
        "partner.example": "kind backup",
        ".partner.example": "kind backup",
        "many.example": "kind backup",
    }


def test_files_of_the_user_alias(run_import):
    """Those behind a virtual domain of alias are addresses of that domain."""
    run_import("qmail")
    names = dict(Alias.objects.values_list("name", "targets"))
    assert names["sales@shop.example"] == ["anna@corp.example", "bert@elsewhere.example"]
    assert names["@shop.example"] == ["anna@corp.example"]
    assert names["@mail.example.test"] == ["anna@corp.example"]
    assert names["first.last@mail.example.test"] == ["first@corp.example"]
    assert names["postmaster@mail.example.test"] == ["anna@corp.example"]
    assert names["robot@mail.example.test"] == [
        *("|/usr/bin/robot", "/var/mail/robot", "anna@corp.example"),
    ]
    assert names["sales@mail.example.test"] == ["joe-sales@mail.example.test"]


def test_routes_clients_senders_and_settings(run_import):
    run_import("qmail")
    assert set(map(str, Route.objects.all())) == {
        "* via smart.example.net:25",
        "auth.example via relay.example:587",
        "inner.example via [192.0.2.25]:2525",
        "partner.example via mx.partner.example:25",
    }
    assert {str(rule) for rule in AccessRule.objects.all()} == {
        "127.0.0.0/8 allow relay",
        "192.0.2.0/24 allow",
        "198.51.100.0/24 allow relay",
        "203.0.113.66/32 deny",
        "203.0.113.77/32 block",
    }
    assert {row.pattern for row in BadSender.objects.all()} == {
        "spammer@aol.example",
        "@cyber.example",
    }
    settings = Settings.load()
    assert (settings.sizelimit, settings.queuetime.days) == (10000000, 3)


def test_what_is_left(run_import):
    report = run_import("qmail")
    found = left(report)
    for place in (
        *("alias/.qmail-archive:1", "alias/.qmail-robot:3", "control/concurrencyremote:1"),
        *("control/defaultdomain:1", "control/smtproutes:3", "control/smtproutes:4"),
        *("control/timeoutremote:1", "control/virtualdomains:4", "control/virtualdomains:5"),
        *("tcp.smtp:5", "tcp.smtp:6", "users/assign:2", "users/assign:3"),
    ):
        assert found[place], place
    assert "secret" not in json.dumps(report)


def test_a_qmail_without_rcpthosts_is_no_open_relay_here(run_import, tmp_path):
    control = tmp_path / "control"
    control.mkdir()
    (control / "locals").write_text("example.com\n")
    (control / "mysql").write_text("password hunter2\n")
    report = run_import("qmail", directory=tmp_path)
    assert "relayed for everybody" in left(report)["control/rcpthosts:0"]
    assert "hunter2" not in json.dumps(report)
    assert not AccessRule.objects.exists()


def test_mail_is_treated_as_before(run_import, ask):
    run_import("qmail")
    corp = Domain.objects.get(name="corp.example")
    Mailbox.objects.create(domain=corp, local_part="anna")
    whoever = ask("203.0.113.1", "x@a.example", "whoever@shop.example")
    assert reply(whoever) == "250"
    assert [each.address for each in whoever.destinations] == ["anna@corp.example"]
    assert nexthop(ask("203.0.113.1", "x@a.example", "y@partner.example")) == (
        "relay:mx.partner.example:25"
    )
    assert reply(ask("203.0.113.1", "x@a.example", "y@foreign.example")) == "550"
    assert reply(ask("198.51.100.1", "x@a.example", "y@foreign.example")) == "250"
    assert reply(ask("203.0.113.1", "x@cyber.example", "anna@corp.example")) == "550"
