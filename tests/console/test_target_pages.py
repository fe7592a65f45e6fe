"""The pages of programs and webhooks."""

import re

import pytest

from mta.models import DeliveryLimit, Program, Route, Webhook

pytestmark = pytest.mark.django_db

PROGRAM = {
    "name": "archive",
    "argv": "/bin/archive\r\n--to\r\n${recipient}",
    "user": "nobody",
    "timeout": "5 min",
    "simultaneous": "2",
    "memory": "256 MiB",
    "cpu": "10 s",
    "separately": "on",
    "return_path": "on",
    "enabled": "on",
    "note": "",
}
WEBHOOK = {
    "name": "app",
    "url": "https://app.example.com/mail",
    "form": "json",
    "timeout": "30 s",
    "simultaneous": "",
    "sizelimit": "10 MiB",
    "new_secret": "",
    "enabled": "on",
    "note": "",
}
FORMS = {"program": PROGRAM, "webhook": WEBHOOK}


def add(browser, page: str, **fields: str):
    return browser.post(f"/console/mta/{page}/add/", FORMS[page] | fields, follow=True)


@pytest.mark.parametrize("page", FORMS)
def test_a_new_one_has_the_usual_time(browser, page):
    assert 'value="1 min"' in browser.get(f"/console/mta/{page}/add/").text


def test_a_program_is_added_and_changed(browser):
    assert add(browser, "program").status_code == 200
    row = Program.objects.get()
    assert row.argv == ["/bin/archive", "--to", "${recipient}"]
    assert (row.memory, row.cpu.total_seconds(), row.delivered_to) == (256 << 20, 10, False)
    assert row.simultaneous == 2
    path = f"/console/mta/program/{row.pk}/change/"
    assert "/bin/archive" in browser.get(path).text
    browser.post(path, PROGRAM | {"name": "other", "simultaneous": ""})
    row.refresh_from_db()
    assert (row.name, row.simultaneous) == ("archive", None)


@pytest.mark.parametrize(
    ("page", "fields", "words"),
    [
        ("program", {"argv": "archive"}, "absolute path"),
        ("program", {"argv": "/bin/x\n${all}"}, "is not one of"),
        ("program", {"user": "root"}, "may run as root"),
        ("program", {"name": "No Name"}, "is not a name"),
        ("program", {"timeout": "soon"}, "write a duration"),
        ("webhook", {"url": "http://app.example.com/"}, "private network"),
        ("webhook", {"url": "https://169.254.169.254/"}, "private network"),
        ("webhook", {"new_secret": "short"}, "at least 16"),
    ],
)
def test_what_cannot_work_is_told(browser, page, fields, words):
    assert words in add(browser, page, **fields).text
    assert not Program.objects.exists()
    assert not Webhook.objects.exists()


def test_a_secret_that_we_made_is_shown_once(browser):
    text = add(browser, "webhook").text
    made = Webhook.objects.get().facts().secret
    assert made in text
    path = f"/console/mta/webhook/{Webhook.objects.get().pk}/change/"
    for page in (path, "/console/mta/webhook/", "/console/mta/policychange/"):
        assert made not in browser.get(page).text
        assert Webhook.objects.get().secret not in browser.get(page).text
    browser.post(path, WEBHOOK | {"note": "changed"})
    assert Webhook.objects.get().facts().secret == made


def test_a_secret_of_ones_own_is_never_shown(browser):
    secret = "a secret of one's own"
    assert re.escape(secret) not in add(browser, "webhook", new_secret=secret).text
    assert Webhook.objects.get().facts().secret == secret


@pytest.mark.parametrize(("page", "relay"), [("program", "pipe:archive"), ("webhook", "http:app")])
def test_what_routes_use_stays(browser, page, relay):
    add(browser, page)
    model = {"program": Program, "webhook": Webhook}[page]
    row = model.objects.get()
    route = Route.objects.create(domain="lists.example.com", relay=relay)
    path = f"/console/mta/{page}/{row.pk}/delete/"
    assert "lists.example.com" in browser.get(path).text
    assert browser.post(path, {"post": "yes"}).status_code != 302
    assert model.objects.exists()
    route.delete()
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    browser.post(f"/console/mta/{page}/", chosen)
    assert not model.objects.exists()
    assert not DeliveryLimit.objects.exists()


@pytest.mark.parametrize("page", FORMS)
def test_an_empty_list_says_what_it_is_for(browser, page):
    assert "cw-nothing" in browser.get(f"/console/mta/{page}/").text
