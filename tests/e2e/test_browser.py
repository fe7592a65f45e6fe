"""The console in a real browser, against a real PostgreSQL."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect

from mta.models import Alias, Domain, Event, Mailbox, PolicyChange, Recipient
from tests.queue.rows import make_message
from tests.support import browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(browser.executable() is None, reason="there is no Chromium"),
]

NAME, PASSWORD = "root", "correct horse battery"
PAGES = (
    "/console/",
    "/console/queue/",
    "/console/find/?q=bob@example.test",
    "/console/refusals/",
    "/console/rules/",
    "/console/address/?q=bob@example.test",
    "/console/explain/?client=192.0.2.7&from=<>&to=bob@example.test&to=x@y.example",
    "/console/mta/dnslist/add/",
    "/console/mta/accessrule/add/",
    "/console/mta/domain/",
    "/console/mta/mailbox/add/",
    "/console/mta/settings/1/change/",
)


@pytest.fixture(autouse=True)
def database_calls_beside_a_running_loop(monkeypatch):
    """Playwright's synchronous interface runs an event loop in this thread; Django minds."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(autouse=True)
def no_connection_outlives_its_request(monkeypatch):
    """The threads of the live server would keep theirs open, and the test database with it."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)


@pytest.fixture
def page(live_server, django_user_model) -> Iterator[Page]:
    """A browser that has signed in the way a person does."""
    django_user_model.objects.create_superuser(NAME, password=PASSWORD)
    with browser.open_page() as page:
        page.goto(f"{live_server.url}/")
        page.get_by_label("Username").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Last 24 hours")).to_be_visible()
        yield page
        # Beside Playwright's loop Django keeps another connection, which nobody else closes.
        connection.close()
        assert page.script_errors == []


def test_a_wrong_password_does_not_sign_in(live_server, django_user_model):
    django_user_model.objects.create_superuser(NAME, password=PASSWORD)
    with browser.open_page() as page:
        page.goto(f"{live_server.url}/")
        page.get_by_label("Username").fill(NAME)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("correct username and password")).to_be_visible()


def test_a_domain_a_mailbox_and_an_alias_are_made(page, live_server):
    page.goto(f"{live_server.url}/console/mta/domain/")
    page.get_by_role("link", name="Add domain").first.click()
    page.locator("#id_name").fill("example.test")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    page.goto(f"{live_server.url}/console/mta/mailbox/add/")
    page.locator("#id_local_part").fill("bob")
    page.locator("#id_domain").select_option(label="example.test")
    page.locator("#id_new_password").fill("tr0ubador and 3")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="bob@example.test").first).to_be_visible()

    page.goto(f"{live_server.url}/console/mta/alias/add/")
    page.locator("#id_name").fill("sales@example.test")
    page.locator("#id_targets").fill("bob@example.test\ncarol@example.test")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("bob@example.test, carol@example.test")).to_be_visible()

    assert Domain.objects.get().name == "example.test"
    assert Mailbox.objects.get().password
    assert Alias.objects.get().targets == ["bob@example.test", "carol@example.test"]
    assert set(PolicyChange.objects.exclude(table="mta_settings").values_list("actor")) == {(NAME,)}


def test_a_row_of_the_queue_is_held_and_released(page, live_server):
    make_message("bob@slow.test")
    make_message("carol@fast.test")
    page.goto(f"{live_server.url}/console/queue/")
    page.get_by_label("Tick", exact=False).and_(page.locator("tr:has-text('bob@') input")).check()
    page.get_by_role("button", name="Hold").click()
    expect(page.get_by_role("heading", name="Hold 1 recipient", exact=True)).to_be_visible()
    page.get_by_label("Reason").fill("customer asked")
    page.get_by_role("button", name="Hold 1").click()
    expect(page.get_by_text("1 recipient is held.")).to_be_visible()
    assert Recipient.objects.get(address="bob@slow.test").state == "held"
    assert Recipient.objects.get(address="carol@fast.test").state == "queued"

    page.get_by_role("link", name="Held 1").click()
    page.get_by_label("all 1 matching").check()
    page.get_by_role("button", name="Release").click()
    page.get_by_role("button", name="Release 1").click()
    expect(page.get_by_text("1 recipient is released.")).to_be_visible()
    assert Recipient.objects.get(address="bob@slow.test").state == "queued"


def test_the_filter_narrows_without_a_new_page(page, live_server):
    make_message("bob@slow.test")
    make_message("carol@fast.test")
    page.goto(f"{live_server.url}/console/queue/")
    page.get_by_label("Recipient", exact=True).fill("bob@")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("carol@fast.test")).to_have_count(0)
    expect(page.get_by_text("1 recipient matches")).to_be_visible()
    assert "recipient=bob" in page.url


def test_from_the_key_to_the_timeline_of_a_message(page, live_server):
    message = make_message("bob@example.test", subject="Lunch?")
    Event.objects.create(
        at=timezone.now(),
        message=message,
        kind="accepted",
        data={
            "session": {"client_ip": "192.0.2.7", "helo": "client.example.org"},
            "decisions": [
                {
                    "stage": "rcpt",
                    "subject": "bob@example.test",
                    "verdict": "accept",
                    "rule": "mailbox",
                    "steps": [{"rule": "mailbox", "matched": True, "detail": "ours"}],
                }
            ],
        },
    )
    page.keyboard.press("/")
    page.keyboard.type("bob@example.test")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=message.queue_id).click()
    expect(page.get_by_text("Lunch?").first).to_be_visible()
    expect(page.get_by_text("(rule mailbox)")).to_be_visible()
    page.get_by_text("technical details").nth(1).click()
    expect(page.get_by_role("cell", name="matched", exact=True)).to_be_visible()


def test_no_page_is_wider_than_its_window(page, live_server):
    make_message("a-very-long-local-part-that-goes-on-and-on@" + "sub." * 40 + "example.test")
    message = make_message("bob@example.test", subject="x" * 400)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for path in (*PAGES, f"/console/messages/{message.queue_id}/"):
            page.goto(live_server.url + path)
            assert browser.overflow(page) <= 0, (path, width)
