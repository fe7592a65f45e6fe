"""Domains, mailboxes, aliases, access rules, routes and settings, edited in the browser."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission

from mta import runtime
from mta.models import AccessRule, Alias, Domain, Mailbox, PolicyChange, Route, Settings
from mta.system_users import SystemUser

pytestmark = pytest.mark.django_db


def test_a_change_is_recorded_under_the_name_of_who_made_it(browser):
    browser.post("/console/mta/domain/add/", {"name": "Example.TEST", "kind": "hosted", "note": ""})
    assert Domain.objects.get().name == "example.test"
    change = PolicyChange.objects.get()
    assert (change.actor, change.operation) == ("root", "INSERT")
    page = browser.get(f"/console/changes/{change.pk}/").text
    assert "example.test" in page
    assert "root" in page


def test_a_page_says_since_when_it_is_so(browser):
    browser.post("/console/mta/domain/add/", {"name": "example.test", "kind": "hosted", "note": ""})
    page = browser.get(f"/console/mta/domain/{Domain.objects.get().pk}/change/").text
    assert "In force since" in page
    assert "What it replaced" in page


def test_a_bad_domain_gets_a_sentence_and_is_not_stored(browser):
    response = browser.post(
        "/console/mta/domain/add/", {"name": "not a domain", "kind": "hosted", "note": ""}
    )
    assert response.status_code == 200
    assert "errors" in response.text
    assert not Domain.objects.exists()


def test_a_domain_with_mailboxes_is_not_deleted(browser):
    domain = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=domain, local_part="bob")
    response = browser.post(
        f"/console/mta/domain/{domain.pk}/delete/", {"post": "yes"}, follow=True
    )
    assert "still has 1 mailbox" in response.text
    assert Domain.objects.filter(pk=domain.pk).exists()


def test_several_domains_with_a_mailbox_among_them_are_not_deleted_together(browser):
    domain = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=domain, local_part="bob")
    order = {"action": "delete_selected", "_selected_action": [domain.pk], "post": "yes"}
    response = browser.post("/console/mta/domain/", order)
    assert response.status_code == 200
    assert Domain.objects.filter(pk=domain.pk).exists()


def _mailbox_form(domain, **fields):
    return {
        "local_part": "bob",
        "domain": domain.pk,
        "name": "",
        "new_password": "",
        "quota": "0",
        "enabled": "on",
        "sender_grants-TOTAL_FORMS": "0",
        "sender_grants-INITIAL_FORMS": "0",
        **fields,
    }


def test_a_mailbox_gets_a_password_that_is_never_shown(browser):
    domain = Domain.objects.create(name="example.test")
    form = _mailbox_form(domain, new_password="tr0ubador and 3", quota="1.5 GiB")
    browser.post("/console/mta/mailbox/add/", form)
    mailbox = Mailbox.objects.get()
    assert mailbox.password.startswith("pbkdf2_")
    assert mailbox.quota == 3 << 29
    for path in (f"/console/mta/mailbox/{mailbox.pk}/change/", "/console/mta/mailbox/"):
        page = browser.get(path).text
        assert "pbkdf2_" not in page
        assert "tr0ubador" not in page


def test_saving_a_mailbox_without_a_password_keeps_the_old_one(browser):
    domain = Domain.objects.create(name="example.test")
    mailbox = Mailbox(domain=domain, local_part="bob")
    mailbox.set_password("tr0ubador and 3")
    mailbox.save()
    old = mailbox.password
    browser.post(f"/console/mta/mailbox/{mailbox.pk}/change/", _mailbox_form(domain, name="Bob"))
    mailbox.refresh_from_db()
    assert (mailbox.name, mailbox.password) == ("Bob", old)


@pytest.mark.parametrize(
    "fields", [{"new_password": "short"}, {"quota": "plenty"}, {"local_part": "a/b"}]
)
def test_a_bad_mailbox_is_refused(browser, fields):
    domain = Domain.objects.create(name="example.test")
    response = browser.post("/console/mta/mailbox/add/", _mailbox_form(domain, **fields))
    assert response.status_code == 200
    assert not Mailbox.objects.exists()


def test_alias_targets_are_one_a_line(browser):
    targets = "bob@example.test\r\n\r\n  carol@example.test \r\nbob@example.test\r\n"
    form = {"name": "Sales@example.test", "targets": targets, "note": ""}
    browser.post("/console/mta/alias/add/", form)
    alias = Alias.objects.get()
    assert alias.name == "sales@example.test"
    assert alias.targets == ["bob@example.test", "carol@example.test"]
    page = browser.get(f"/console/mta/alias/{alias.pk}/change/").text
    assert "bob@example.test\ncarol@example.test" in page


def test_an_alias_that_runs_a_program_says_as_whom(browser):
    assert "user nobody of this host" in browser.get("/console/mta/alias/add/").text
    Alias.objects.create(name="plain@example.test", targets=["a@example.test"])
    form = {"name": "robot@example.test", "targets": "|/bin/robot <b>\r\n/srv/robot", "note": ""}
    page = browser.post("/console/mta/alias/add/", form, follow=True).text
    assert Alias.objects.get(name="robot@example.test").targets == ["|/bin/robot <b>", "/srv/robot"]
    assert "|/bin/robot &lt;b&gt;, /srv/robot on this host, as the user nobody" in page
    page = browser.get("/console/mta/alias/", {"runs": "yes"}).text
    assert "robot@example.test" in page
    assert "plain@example.test" not in page


def test_users_of_the_system_stand_beneath_the_mailboxes(browser, monkeypatch):
    users = [SystemUser("una", 1000, "/home/una"), SystemUser("low", 999, "/home/low")]
    monkeypatch.setattr("courierweb.console.system_users.local_users", lambda: users)
    monkeypatch.setattr("mta.system_accounts.find_user", {"una": users[0]}.get)
    here = runtime.hostname()
    Domain.objects.get_or_create(name=here)
    Settings.load()
    assert "Users of this system" not in browser.get("/console/mta/mailbox/").text
    Settings.objects.update(systemaccounts=True)
    page = browser.get("/console/mta/mailbox/").text
    assert "a user of this system" in page
    assert f"una@{here}" in page
    assert "low@" not in page
    page = browser.get("/console/address/", {"q": "una"}).text
    assert "is a user of this system" in page


def test_only_an_administrator_has_programs_run(client, django_user_model):
    clerk = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__model="alias"))
    client.force_login(clerk)
    kept = Alias.objects.create(name="robot@example.test", targets=["|/bin/robot", "/srv/robot"])
    form = {"name": "sales@example.test", "targets": "|/bin/robot", "note": ""}
    assert "only an administrator" in client.post("/console/mta/alias/add/", form).text
    assert not Alias.objects.filter(name="sales@example.test").exists()

    change = f"/console/mta/alias/{kept.pk}/change/"
    form = {"name": kept.name, "targets": "|/bin/robot\nbob@example.test", "note": ""}
    client.post(change, form)
    kept.refresh_from_db()
    assert kept.targets == ["|/bin/robot", "bob@example.test"]
    client.post(change, {**form, "targets": "|/bin/other"})
    kept.refresh_from_db()
    assert kept.targets == ["|/bin/robot", "bob@example.test"]


def test_only_an_administrator_says_what_is_run_for_users(client, django_user_model):
    clerk = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__model="settings"))
    client.force_login(clerk)
    row = Settings.load()
    page = client.get(f"/console/mta/settings/{row.pk}/change/").text
    assert 'name="sizelimit"' in page
    for name in ("systemaccounts", "minuid", "defaultdelivery", "aliasuser"):
        assert f'name="{name}"' not in page


def test_an_alias_with_a_bad_target_is_refused(browser):
    form = {"name": "sales@example.test", "targets": "bob@example.test\nnot an address", "note": ""}
    assert "not an address" in browser.post("/console/mta/alias/add/", form).text
    assert not Alias.objects.exists()


def _rule_form(prefix, **fields):
    return {
        "prefix": prefix,
        "action": "allow",
        "relay": "on",
        "confirmation": "",
        "text": "",
        "note": "",
        **fields,
    }


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "128.0.0.0/1", "2000::/3", "::/0"])
def test_a_wide_relay_must_be_typed_twice_and_is_shown_on_every_page(browser, prefix):
    response = browser.post("/console/mta/accessrule/add/", _rule_form(prefix))
    assert "open relay" in response.text
    assert not AccessRule.objects.exists()
    browser.post("/console/mta/accessrule/add/", _rule_form(prefix, confirmation=prefix))
    assert AccessRule.objects.get().prefix == prefix
    for path in ("/console/", "/console/queue/", "/console/mta/domain/"):
        page = browser.get(path).text
        assert "relays for a very large part of the Internet" in page
        assert prefix in page


def test_a_narrow_relay_needs_no_confirmation_and_makes_no_fuss(browser):
    browser.post("/console/mta/accessrule/add/", _rule_form("192.0.2.0/24"))
    assert AccessRule.objects.get().relay
    assert "very large part" not in browser.get("/console/").text


def test_a_rule_cannot_be_widened_without_confirmation(browser):
    rule = AccessRule.objects.create(prefix="192.0.2.0/24", relay=True)
    browser.post(f"/console/mta/accessrule/{rule.pk}/change/", _rule_form("192.0.0.0/3"))
    rule.refresh_from_db()
    assert rule.prefix == "192.0.2.0/24"


def test_a_route_is_stored_in_normal_form(browser):
    form = {"domain": "Partner.Example", "relay": "192.0.2.9", "port": "2525", "security": ""}
    browser.post("/console/mta/route/add/", {**form, "note": ""})
    route = Route.objects.get()
    assert (route.domain, route.relay, route.port) == ("partner.example", "[192.0.2.9]", 2525)


ROUTE = {
    "domain": "*",
    "sender": "",
    "relay": "smart.example",
    "port": "587",
    "security": "REQUIRED",
    "ip_version": "",
    "user": "",
    "new_password": "",
    "note": "",
}


def _signed_in_route(browser) -> Route:
    signed_in = {**ROUTE, "user": "ann", "new_password": "s3cret pass"}
    browser.post("/console/mta/route/add/", signed_in)
    return Route.objects.get()


def test_the_password_of_a_route_is_written_and_never_shown(browser):
    route = _signed_in_route(browser)
    assert route.credentials().password == "s3cret pass"
    page = f"/console/mta/route/{route.pk}/change/"
    for path in (page, "/console/mta/route/", "/console/mta/policychange/"):
        shown = browser.get(path).text
        assert "s3cret" not in shown
        assert route.password not in shown
    assert "a password is set" in browser.get(page).text
    browser.post(page, {**ROUTE, "user": "ann", "note": "kept"})
    route.refresh_from_db()
    assert (route.note, route.credentials().password) == ("kept", "s3cret pass")


@pytest.mark.parametrize("change", [{"relay": "evil.example"}, {"port": "26"}, {"user": "bob"}])
def test_a_stored_password_goes_to_no_other_relay(browser, change):
    route = _signed_in_route(browser)
    page = f"/console/mta/route/{route.pk}/change/"
    answer = browser.post(page, {**ROUTE, "user": "ann", **change})
    assert "write the password again" in answer.text
    route.refresh_from_db()
    assert (route.relay, route.port, route.user) == ("smart.example", 587, "ann")
    browser.post(page, {**ROUTE, "user": "ann", **change, "new_password": "another"})
    route.refresh_from_db()
    assert route.credentials().password == "another"


def test_a_route_without_a_user_keeps_no_password(browser):
    route = _signed_in_route(browser)
    browser.post(f"/console/mta/route/{route.pk}/change/", ROUTE)
    route.refresh_from_db()
    assert (route.user, route.password) == ("", "")


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"security": "", "user": "ann", "new_password": "x"}, "signing in needs TLS"),
        ({"security": "NONE", "user": "ann", "new_password": "x"}, "on loopback only"),
        ({"user": "ann"}, "a user needs a password"),
        ({"relay": "not a host"}, "HOST[:PORT]"),
        ({"relay": "", "security": "SMTPS"}, "implicit TLS needs a relay"),
        ({"domain": "no domain"}, "no domain"),
        ({"sender": "@x.example"}, "nothing before the @"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused(browser, change, trouble):
    answer = browser.post("/console/mta/route/add/", {**ROUTE, **change})
    assert trouble in answer.text
    assert not Route.objects.exists()


def test_one_route_for_a_domain_and_sender(browser):
    browser.post("/console/mta/route/add/", ROUTE)
    browser.post("/console/mta/route/add/", {**ROUTE, "sender": "acme.example"})
    answer = browser.post("/console/mta/route/add/", ROUTE)
    assert "There is a route for this domain and sender already" in answer.text
    assert Route.objects.count() == 2


def _settings_form(page):
    form = page.context["adminform"].form
    return {name: form[name].value() for name in form.fields if form[name].value() is not False}


def test_settings_read_and_write_durations_and_sizes_in_words(browser):
    page = browser.get("/console/mta/settings/", follow=True)
    form = _settings_form(page)
    assert (form["queuetime"], form["warntime"], form["sizelimit"]) == ("5 d", "4 h", "50 MiB")
    words = {**form, "queuetime": "1 d 12 h", "warntime": "90 min", "sizelimit": "10 MiB"}
    browser.post("/console/mta/settings/1/change/", words)
    settings = Settings.load()
    assert settings.queuetime == timedelta(hours=36)
    assert settings.warntime == timedelta(minutes=90)
    assert settings.sizelimit == 10 << 20
    assert settings.retryalpha == timedelta(minutes=5)


@pytest.mark.parametrize("text", ["soon", "-5 min", "5 parsecs", "", "999999999999 d"])
def test_a_duration_that_makes_no_sense_is_refused(browser, text):
    form = _settings_form(browser.get("/console/mta/settings/", follow=True))
    browser.post("/console/mta/settings/1/change/", {**form, "queuetime": text})
    assert Settings.load().queuetime == timedelta(days=5)


def test_the_record_of_changes_cannot_be_edited(browser):
    Domain.objects.create(name="example.test")
    change = PolicyChange.objects.get()
    assert "example.test" in browser.get("/console/mta/policychange/").text
    assert browser.post(f"/console/mta/policychange/{change.pk}/delete/").status_code == 403
    assert browser.get("/console/mta/policychange/add/").status_code == 403
    assert PolicyChange.objects.count() == 1


@pytest.mark.parametrize("name", ["domain", "mailbox", "alias", "accessrule", "route"])
def test_empty_lists_say_what_to_do(browser, name):
    page = browser.get(f"/console/mta/{name}/").text
    assert "yet</h2>" in page
    assert "Nothing matches" in browser.get(f"/console/mta/{name}/?q=zzz").text
