"""A sendmail's /etc/mail becomes rows."""

import pytest

from mta.models import AccessRule, Alias, Domain, Mailbox, Route, Settings
from tests.upgrade.conftest import left, made, nexthop, reply

pytestmark = pytest.mark.django_db


def test_domains(run_import):
    assert made(run_import("sendmail"), "domain") == {
        "example.com": "kind hosted",
        "shop.example": "kind hosted",
        "old.example.com": "kind local",
        "branch.example": "kind backup",
        ".branch.example": "kind backup",
        "relay.example": "kind backup",
        ".relay.example": "kind backup",
        "partner.example": "kind backup",
        ".partner.example": "kind backup",
    }


def test_aliases_and_virtual_users_are_aliases(run_import):
    run_import("sendmail")
    ours = "mail.example.test"
    assert dict(Alias.objects.values_list("name", "targets")) == {
        "info@example.com": ["anna@example.com"],
        "sales@shop.example": [f"bert@{ours}"],
        "@shop.example": ["anna@example.com"],
        f"postmaster@{ours}": [f"root@{ours}"],
        f"root@{ours}": ["anna@example.com"],
        f"mailer-daemon@{ours}": [f"postmaster@{ours}"],
        f"staff@{ours}": ["anna@example.com", "bert@example.com", "carla@partner.example"],
        f"announce@{ours}": ["anna@example.com", "carla@partner.example", "dora@example.net"],
        f"archive@{ours}": ["/var/mail/archive"],
        f"robot@{ours}": ["|/usr/local/bin/robot --mail"],
    }


def test_routes_access_and_settings(run_import):
    run_import("sendmail")
    assert dict(Route.objects.values_list("domain", "relay")) == {
        "*": "smart.example.net",
        "inner.example": "[192.0.2.25]",
        ".inner.example": "gate.example.com",
        "two.example": "a.example.com",
    }
    assert {str(rule) for rule in AccessRule.objects.all()} == {
        "127.0.0.1/32 allow relay",
        "192.0.2.0/24 allow relay",
        "198.51.100.0/24 allow relay",
        "2001:db8:1::/48 allow relay",
        "2001:db8:2::/48 allow relay",
        "203.0.113.66/32 deny",
        "203.0.113.77/32 block",
    }
    settings = Settings.load()
    assert (settings.sizelimit, settings.queuetime.days) == (20971520, 3)


def test_what_is_left_has_file_line_and_reason(run_import):
    found = left(run_import("sendmail"))
    assert set(found) == {
        *(f"access:{number}" for number in (2, 10, 12, 13, 14, 15, 16, 17)),
        *("aliases:9", "aliases:12"),
        *("domaintable:1", "local-host-names:2", "relay-domains:1", "relay-domains:4"),
        *("mailertable:3", "mailertable:4", "mailertable:5"),
        *("virtusertable:4", "virtusertable:5"),
    }
    assert "--confirm 0.0.0.0/1" in found["relay-domains:4"]
    assert "no such file in the directory" in found["aliases:9"]


def test_a_vast_relay_wants_the_same_confirmation_as_by_hand(run_import):
    run_import("sendmail")
    assert not AccessRule.objects.filter(prefix="0.0.0.0/1").exists()
    run_import("sendmail", "--confirm", "0.0.0.0/1")
    assert AccessRule.objects.get(prefix="0.0.0.0/1").relay


def test_mail_is_treated_as_before(run_import, ask):
    Domain.objects.create(name="mail.example.test")
    run_import("sendmail")
    example = Domain.objects.get(name="example.com")
    Mailbox.objects.create(domain=example, local_part="anna")
    info = ask("203.0.113.1", "x@a.example", "info@example.com")
    assert reply(info) == "250"
    assert [each.address for each in info.destinations] == ["anna@example.com"]
    assert reply(ask("203.0.113.1", "x@a.example", "nobody@example.com")) == "550"
    assert reply(ask("203.0.113.1", "x@a.example", "y@branch.example")) == "250"
    assert reply(ask("203.0.113.1", "x@a.example", "y@foreign.example")) == "550"
    assert reply(ask("203.0.113.66", "x@a.example", "y@branch.example")) == "554"
    assert reply(ask("203.0.113.77", "x@a.example", "y@branch.example")) == "550"
    assert reply(ask("203.0.113.1", "x@sub.cyber.example", "y@branch.example")) == "550"
    relayed = ask("198.51.100.9", "x@a.example", "y@inner.example")
    assert (reply(relayed), nexthop(relayed)) == ("250", "relay:[192.0.2.25]:25")
    assert nexthop(ask("198.51.100.9", "x@a.example", "y@else.example")) == (
        "relay:smart.example.net:25"
    )
