"""The portal in a real browser: a rule is made, tried, looked at over all mail, and saved."""

import dataclasses
import re

import django_rq
import pytest
from django.db import connection
from playwright.sync_api import expect
from rq import SimpleWorker

from mta import mailbox_scripts
from mta.models import Domain, Mailbox
from tests.support import browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(browser.executable() is None, reason="there is no Chromium"),
]

PASSWORD = "correct horse battery"
QUICK = "django.contrib.auth.hashers.MD5PasswordHasher"
PAGES = (
    "/mail/",
    "/mail/rules/",
    "/mail/rules/new/",
    "/mail/rules/0/",
    "/mail/rules/try/",
    "/mail/rules/text/",
    "/mail/rules/history/",
    "/mail/vacation/",
    "/mail/senders/",
    "/mail/sent/",
    "/mail/password/",
)


@pytest.fixture(autouse=True)
def beside_a_running_loop(monkeypatch, settings):
    """Playwright's loop runs in this thread; connections of the live server's threads must end."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.PASSWORD_HASHERS = [QUICK, *settings.PASSWORD_HASHERS]
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)


@pytest.fixture
def bob(tmp_path, settings):
    settings.ENVIRONMENT = dataclasses.replace(settings.ENVIRONMENT, home=tmp_path)
    mailbox = Mailbox(domain=Domain.objects.create(name="example.test"), local_part="bob")
    mailbox.set_password(PASSWORD)
    mailbox.save()
    new = tmp_path / "mail" / "example.test" / "bob" / "Maildir" / "new"
    new.mkdir(parents=True)
    for number, subject in enumerate(("Lunch", "Minutes of Monday", "Summer sale", "Hello")):
        (new / f"{1_790_000_000 + number}.Qx{number}R1.host,S=1").write_text(
            "Return-Path: <ann@example.org>\nDelivered-To: bob@example.test\n"
            f"From: Ann <ann@example.org>\nTo: bob@example.test\nSubject: {subject}\n\nText\n"
        )
    return mailbox


def sign_in(page, live_server):
    page.goto(f"{live_server.url}/mail/")
    page.get_by_label("Mail address").fill("bob@example.test")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_rule_is_made_tried_looked_at_and_saved(live_server, bob, width):
    with browser.open_page(width) as page:
        sign_in(page, live_server)
        page.get_by_role("link", name="Make a rule", exact=True).click()
        page.get_by_label("Name", exact=True).fill("Sales")
        page.get_by_label("What").select_option("subject.contains")
        page.get_by_label("Text (one per line").fill("sale")
        page.get_by_label("Folder, label, address or text").fill("Ads")
        page.get_by_role("button", name="Try it on a message").click()
        page.get_by_role("link", name=re.compile("Try the rules.*Summer sale")).click()
        expect(page.get_by_text("It would go to: Ads")).to_be_visible()

        page.get_by_role("link", name="What would this have done?").click()
        queue = django_rq.get_queue("default")
        SimpleWorker([queue], connection=queue.connection).work(burst=True)
        expect(page.get_by_text("1 of your newest 4 messages")).to_be_visible()
        page.get_by_label("Yes, so much mail is meant").check()
        page.get_by_role("button", name="Save: Rule “Sales”").click()
        expect(page.get_by_role("heading", name="Sales")).to_be_visible()
        assert browser.overflow(page) <= 0
        assert page.script_errors == []
    connection.close()
    assert "Sales" in mailbox_scripts.active(bob).text


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_window(live_server, bob, width):
    script = (
        'require "fileinto";\n# rule:[Lists]\n'
        f'if header :contains "list-id" "{"long" * 30}" {{ fileinto "{"Deep/" * 20}x"; }}\n'
        f'redirect "{"x" * 60}@example.org";\n'
    )
    mailbox_scripts.save(bob, "rules", script, saved_by="test")
    mailbox_scripts.activate(bob, "rules")
    with browser.open_page(width) as page:
        sign_in(page, live_server)
        for path in PAGES:
            page.goto(f"{live_server.url}{path}")
            assert browser.overflow(page) <= 0, path
        assert page.script_errors == []
    connection.close()
