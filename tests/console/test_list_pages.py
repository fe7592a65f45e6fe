"""DNS lists, bad senders, traps, listeners, grants, and what deliveries have taught."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import (
    AccessRule,
    AddressTrouble,
    BadMailHost,
    BadSender,
    DeliveryLimit,
    DnsList,
    Domain,
    DsnRefuser,
    FreemailDomain,
    Listener,
    Mailbox,
    PolicyChange,
    ReportText,
    RetryOverride,
    SenderGrant,
    Settings,
    SpamTrap,
    UucpNeighbor,
)

pytestmark = pytest.mark.django_db

ROWS = {
    "dnslist": (
        {"zone": "Zen.Example.ORG.", "action": "block", "state": "log", "position": "1"},
        {"zone": "zen example"},
        DnsList,
        "zen.example.org",
    ),
    "deliverylimit": (
        {
            "scope": "destination",
            "transport": "esmtp",
            "nexthop": "mx:x.example",
            "simultaneous": "3",
            "per_minute": "",
        },
        {"scope": "mailbox", "transport": "local", "nexthop": "*", "per_minute": "5"},
        DeliveryLimit,
        "A destination: esmtp mx:x.example",
    ),
    "uucpneighbor": (
        {"path": "food!fruits", "flags": "gF"},
        {"path": "food!", "flags": "X"},
        UucpNeighbor,
        "food!fruits",
    ),
    "badsender": ({"pattern": "@.Junk.example"}, {"pattern": "junk"}, BadSender, "@.junk.example"),
    "freemaildomain": (
        {"domain": "Free.example", "partners": "Other.example"},
        {"domain": "free.example", "partners": "no domain!"},
        FreemailDomain,
        "free.example",
    ),
    "badmailhost": (
        {"network": "192.0.2.0/24"},
        {"network": "192.0.2.1/24"},
        BadMailHost,
        "192.0.2.0/24",
    ),
    "spamtrap": ({"address": "Trap@example.test"}, {"address": "trap"}, SpamTrap, "trap@"),
    "listener": (
        {"name": "smtp", "sizelimit": "10 MiB", "mime": "wrap", "tls_required": "on"},
        {"name": "imap", "mime": "wrap"},
        Listener,
        "smtp",
    ),
    "retryoverride": (
        {"scope": "domain", "name": "Slow.example", "retryalpha": "10 min", "retrybeta": "2"},
        {"scope": "domain", "name": "slow.example", "retryalpha": "soon"},
        RetryOverride,
        "slow.example",
    ),
    "reporttext": (
        {"name": "greeting", "text": "Hello, {hostname} here."},
        {"name": "greeting", "text": "Hello, {password} here."},
        ReportText,
        "greeting",
    ),
}
EMPTY = {"answers": "", "text": "", "note": "", "sizelimit": ""}


@pytest.mark.parametrize("page", ROWS)
def test_a_row_is_added_and_the_history_names_it(browser, page):
    good, _, model, name = ROWS[page]
    response = browser.post(f"/console/mta/{page}/add/", {**EMPTY, **good})
    assert response.status_code == 302, response.text
    assert str(model.objects.get()).startswith(name)
    assert name in browser.get(f"/console/mta/{page}/").text
    changes = browser.get("/console/mta/policychange/").text
    assert name in changes
    (change,) = PolicyChange.objects.all()
    assert name in browser.get(f"/console/changes/{change.pk}/").text


@pytest.mark.parametrize("page", ROWS)
def test_a_bad_row_is_refused(browser, page):
    good, bad, model, _ = ROWS[page]
    response = browser.post(f"/console/mta/{page}/add/", {**EMPTY, **good, **bad})
    assert response.status_code == 200
    assert not model.objects.exists()


@pytest.mark.parametrize("page", [*ROWS, "dsnrefuser", "addresstrouble"])
def test_an_empty_list_says_what_it_is_for(browser, page):
    assert "cw-nothing" in browser.get(f"/console/mta/{page}/").text


def test_answers_that_no_rule_could_compare_are_refused(browser):
    form = {"zone": "zen.example", "action": "block", "state": "log", "position": "0", **EMPTY}
    response = browser.post("/console/mta/dnslist/add/", {**form, "answers": "127.0.0.2 yes"})
    assert "yes" in response.text
    assert not DnsList.objects.exists()
    browser.post("/console/mta/dnslist/add/", {**form, "answers": " 127.0.0.2  127.0.1.0/24 "})
    assert DnsList.objects.get().answers == "127.0.0.2 127.0.1.0/24"


def test_each_listener_has_one_row(browser):
    for name in ("smtp", "submission", "smtps"):
        browser.post("/console/mta/listener/add/", {"name": name, "mime": "reject", **EMPTY})
    assert Listener.objects.count() == 3
    assert browser.get("/console/mta/listener/add/").status_code == 403
    row = Listener.objects.get(name="smtp")
    form = {"mime": "accept", "sizelimit": "2 MiB"}
    browser.post(f"/console/mta/listener/{row.pk}/change/", form)
    row.refresh_from_db()
    assert (row.name, row.mime, row.sizelimit) == ("smtp", "accept", 2 << 20)


def test_a_mailbox_is_granted_other_senders(browser):
    domain = Domain.objects.create(name="example.test")
    mailbox = Mailbox.objects.create(domain=domain, local_part="bob")
    form = {
        "local_part": "bob",
        "domain": domain.pk,
        "name": "",
        "new_password": "",
        "quota": "0",
        "sizelimit": "1 MiB",
        "submission_sizelimit": "",
        "enabled": "on",
        "sender_grants-TOTAL_FORMS": "1",
        "sender_grants-INITIAL_FORMS": "0",
        "sender_grants-0-id": "",
        "sender_grants-0-mailbox": mailbox.pk,
        "sender_grants-0-pattern": "@Sales.example",
    }
    path = f"/console/mta/mailbox/{mailbox.pk}/change/"
    assert browser.post(path, form).status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.sizelimit, mailbox.submission_sizelimit) == (1 << 20, 0)
    assert SenderGrant.objects.get().pattern == "@sales.example"
    assert "bob@example.test as @sales.example" in browser.get("/console/mta/policychange/").text
    bad = browser.post(path, {**form, "sender_grants-0-pattern": "sales"})
    assert "user@domain" in bad.text


@pytest.fixture
def refuser(db):
    now = timezone.now()
    return DsnRefuser.objects.create(
        domain="rude.example",
        refusals=4,
        reply="550 no bounces here",
        host="mx.rude.example",
        first_at=now - timedelta(days=1),
        last_at=now,
        expires_at=now + timedelta(days=7),
    )


def test_a_domain_that_refuses_reports_is_seen_exempted_and_cleared(browser, refuser):
    listed = browser.get("/console/mta/dsnrefuser/").text
    assert "550 no bounces here" in listed
    order = {"action": "exempt", "_selected_action": [refuser.pk]}
    assert "1 domain is exempt" in browser.post("/console/mta/dsnrefuser/", order, follow=True).text
    refuser.refresh_from_db()
    assert refuser.exempt
    page = browser.get(f"/console/mta/dsnrefuser/{refuser.pk}/change/").text
    assert "mx.rude.example" in page
    browser.post(f"/console/mta/dsnrefuser/{refuser.pk}/delete/", {"post": "yes"})
    assert not DsnRefuser.objects.exists()
    assert browser.get("/console/mta/dsnrefuser/add/").status_code == 403


def test_a_failing_address_is_seen_and_cleared(browser):
    address = "full/box@example.test"
    AddressTrouble.objects.create(
        address=address, permanent=False, reply="452 4.2.2 full <b>", at=timezone.now()
    )
    page = browser.get("/console/mta/addresstrouble/").text
    assert "452 4.2.2 full &lt;b&gt;" in page
    assert "for now, 456" in page
    order = {"action": "delete_selected", "_selected_action": [address], "post": "yes"}
    browser.post("/console/mta/addresstrouble/", order)
    assert not AddressTrouble.objects.exists()


def _access_form(**fields):
    names = ("checkhelo", "spf", "dnslists", "tarpit", "sizelimit", "maxperip", "mime")
    empty = dict.fromkeys((*names, "auth_required", "tls_required", "checkdns"), "")
    form = {"prefix": "192.0.2.0/24", "action": "block", "confirmation": ""}
    return {**empty, **form, "text": "", "note": "", **fields}


def test_the_switches_of_a_network(browser):
    form = _access_form(checkdns="no", tls_required="yes", sizelimit="5 MiB", mime="wrap")
    browser.post("/console/mta/accessrule/add/", form)
    rule = AccessRule.objects.get()
    assert (rule.action, rule.checkdns, rule.tls_required) == ("block", False, True)
    assert (rule.sizelimit, rule.mime, rule.spf, rule.maxperip) == (5 << 20, "wrap", None, None)
    path = f"/console/mta/accessrule/{rule.pk}/change/"
    page = browser.get(path).text
    assert "as the listener says" in page
    browser.post(path, _access_form(action="allow", maxperip="0", checkhelo="0"))
    rule.refresh_from_db()
    assert (rule.checkdns, rule.tls_required, rule.sizelimit) == (None, None, None)
    assert (rule.maxperip, rule.checkhelo) == (0, 0)


@pytest.mark.parametrize("fields", [{"spf": "perhaps"}, {"sizelimit": "1"}, {"mime": "eat"}])
def test_a_switch_that_cannot_be_meant_is_refused(browser, fields):
    assert browser.post("/console/mta/accessrule/add/", _access_form(**fields)).status_code == 200
    assert not AccessRule.objects.exists()


def test_every_setting_is_on_the_page(browser):
    row = Settings.load()
    page = browser.get(f"/console/mta/settings/{row.pk}/change/").text
    for field in Settings._meta.concrete_fields:
        assert field.primary_key or f'name="{field.name}"' in page, field.name


def test_a_local_domain(browser):
    form = {"name": "host.example.test", "kind": "local", "note": ""}
    browser.post("/console/mta/domain/add/", form)
    assert Domain.objects.get().kind == "local"
    assert "This host" in browser.get("/console/mta/domain/").text
