"""A Courier's /etc/courier becomes rows."""

import json

import pytest

from mta import runtime
from mta.models import (
    AccessRule,
    Alias,
    BadMailHost,
    BadSender,
    DnsList,
    FreemailDomain,
    Mailbox,
    Route,
    Settings,
    SpamTrap,
    UucpNeighbor,
)
from tests.upgrade.conftest import left, made, nexthop, reply

pytestmark = pytest.mark.django_db


def test_domains(run_import):
    assert made(run_import("courier"), "domain") == {
        "mail.example.test": "kind hosted",
        "example.com": "kind hosted",
        "example.net": "kind local",
        "other.example.test": "kind local",
        "backup.example": "kind backup",
        "branch.example": "kind backup",
        ".branch.example": "kind backup",
    }


def test_routes_in_the_order_in_which_courier_takes_them(run_import):
    report = run_import("courier")
    assert {(str(row), row.security) for row in Route.objects.all()} == {
        ("* via smart.example.net:25", ""),
        ("branch.example via gate.branch.example:2525", "REQUIRED"),
        ("inner.example via [192.0.2.25]:25", ""),
        (".inner.example via tls.inner.example:465", "SMTPS"),
    }
    assert "never reached" in left(report)["esmtproutes:5"]
    assert "never reached" in left(report)["esmtproutes:8"]


def test_access_rules_with_their_terms(run_import):
    run_import("courier")
    rules = {row.prefix: row for row in AccessRule.objects.all()}
    relaying = {prefix for prefix, row in rules.items() if row.relay}
    assert relaying == {"127.0.0.1/32", "::1/128", "192.168.0.0/16", "198.51.100.0/25"}
    assert rules["198.51.100.0/25"].sizelimit == 1000000
    assert rules["203.0.113.66/32"].action == "deny"
    assert (rules["203.0.113.0/24"].action, rules["203.0.113.0/24"].text) == (
        "block",
        "550 Go away, please",
    )
    assert (rules["2001:db8::/32"].checkdns, rules["2001:db8::/32"].spf) == (False, False)


def test_whose_mail_is_not_wanted(run_import):
    run_import("courier")
    assert set(map(str, BadSender.objects.all())) == {"spammer@aol.example", "@.cyber.example"}
    assert BadMailHost.objects.get().network == "192.0.2.99/32"
    assert FreemailDomain.objects.get().partners == "outlook.example"
    assert SpamTrap.objects.get().address == "trap@example.com"
    assert [(row.zone, row.action, row.answers, row.text) for row in DnsList.objects.all()] == [
        ("bl.example", "block", "", ""),
        ("black.example", "block", "127.0.0.2", "Listed"),
        ("list.example", "allow", "", ""),
    ]


def test_settings(run_import):
    run_import("courier")
    row = Settings.load()
    assert (row.maxrcpts, row.maxrcpts_hard, row.checkhelo) == (50, True, 1)
    assert (row.sizelimit, row.batchsize, row.maxdaemons) == (20971520, 200, 400)
    assert (row.queuetime.days, row.retryalpha.seconds) == (3, 600)


def test_uucp(run_import):
    report = run_import("courier")
    assert {row.path: row.flags for row in UucpNeighbor.objects.all()} == {
        "apple": "",
        "food": "F",
        "food!fruits": "GR",
    }
    assert "NODE" in left(report)["uucpneighbors:5"]
    row = Settings.load()
    assert (row.uucpme, row.uucprewriteheaders) == ("pear", True)


def test_aliases_of_all_files_add_up(run_import):
    run_import("courier")
    assert Alias.objects.get(name="team@mail.example.test").targets == [
        "anna@example.com",
        "bert@example.com",
        "carla@elsewhere.example",
    ]
    assert Alias.objects.get(name="program@mail.example.test").targets == ["|/bin/program"]


def test_how_users_get_their_mail(run_import, tmp_path):
    (tmp_path / "courierd").write_text(
        'DEFAULTDELIVERY="| /usr/bin/maildrop"\nDYNAMICDELIVERIES=0\n'
    )
    (tmp_path / "dotextension").write_text("qmail\n")
    (tmp_path / "localtimeout").write_text("20m\n")
    run_import("courier", directory=tmp_path)
    row = Settings.load()
    assert (row.defaultdelivery, row.dynamicdeliveries) == ("| /usr/bin/maildrop", False)
    assert (row.dotextension, row.commandtimeout.seconds) == ("qmail", 1200)
    assert not row.systemaccounts


def test_accounts_keep_their_passwords_where_we_can_read_them(run_import):
    report = run_import("courier")
    anna = Mailbox.objects.get(local_part="anna")
    assert (anna.address, anna.name, anna.quota) == ("anna@example.com", "Anna Lee", 10000000)
    assert runtime.directory().authenticate("anna@example.com", "correct horse")
    assert not runtime.directory().authenticate("anna@example.com", "wrong")
    assert Mailbox.objects.get(local_part="bert").password == ""
    assert "mailbox password bert@example.com" in left(report)["userdb/default:2"]
    assert Mailbox.objects.get(local_part="carl").domain.name == "mail.example.test"
    shown = json.dumps(report)
    assert "$6$" not in shown
    assert "do-not-show" not in shown


def test_what_is_left(run_import):
    found = left(run_import("courier"))
    for place in (
        *("bofh:9", "bofh:10", "defaultdomain:1", "esmtpd:6", "esmtpd:7"),
        *("esmtpacceptmailfor.dir/webadmin:3", "esmtproutes:3", "esmtproutes:5", "esmtproutes:9"),
        *("hosteddomains:3", "hosteddomains:4", "locals:1", "locals:4", "retrygamma:1"),
        *("smtpaccess/default:4", "smtpaccess/webadmin:3", "smtpaccess/webadmin:5"),
        *("smtpaccess/webadmin:6", "userdb/default:4", "userdb:0"),
    ):
        assert found[place], place
    assert "whole top-level domain" in found["esmtpacceptmailfor.dir/webadmin:3"]


def test_mail_is_treated_as_before(run_import, ask):
    run_import("courier")
    assert reply(ask("192.0.2.9", "x@a.example", "anna@example.com")) == "250"
    assert reply(ask("192.0.2.9", "x@a.example", "nobody@example.com")) == "550"
    assert reply(ask("192.0.2.9", "x@a.example", "y@foreign.example")) == "550"
    assert reply(ask("203.0.113.9", "x@a.example", "anna@example.com")) == "550"
    assert reply(ask("203.0.113.66", "x@a.example", "anna@example.com")) == "554"
    assert nexthop(ask("192.0.2.9", "x@a.example", "y@branch.example")) == (
        "relay:gate.branch.example:2525/REQUIRED"
    )
    relayed = ask("192.168.3.4", "x@a.example", "y@foreign.example")
    assert (reply(relayed), nexthop(relayed)) == ("250", "relay:smart.example.net:25")
