"""As a user would: a rule made from a message, tried, looked at, saved; then it does its work."""

import re

import pytest
from playwright.sync_api import expect

from tests.support import browser
from tests.support.appliance import Appliance, transfer, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(browser.executable() is None, reason="there is no Chromium"),
]

DOMAIN = "journey.test"
UMA, VIC = f"uma@{DOMAIN}", f"vic@{DOMAIN}"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def site(appliance: Appliance) -> Appliance:
    appliance.manage("domain", "add", DOMAIN)
    for address in (UMA, VIC):
        appliance.manage("mailbox", "add", address, "--password", PASSWORD)
    return appliance


def send_news(site: Appliance, marker: str) -> None:
    lines = [
        f"From: {VIC}",
        f"To: {UMA}",
        f"Subject: Weekly news {marker}",
        "List-Id: <weekly.lists.example>",
        "",
        "What happened.",
        "",
    ]
    with site.submission(VIC, PASSWORD) as client:
        transfer(client, VIC, [UMA], "\r\n".join(lines).encode())


@pytest.mark.parametrize("width", [1280, 390])
def test_a_rule_from_a_message_files_the_next_one(site: Appliance, width: int) -> None:
    folder = f"News{width}"
    inbox = site.maildir(UMA)
    send_news(site, f"before {width}")
    inbox.wait_for_messages(1, f"before {width}".encode())
    with browser.open_page(width) as page:
        page.goto(site.url("/mail/"))
        page.get_by_label("Mail address").fill(UMA)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name=re.compile(f"Make a rule.*before {width}")).click()
        page.get_by_label("Name", exact=True).fill(folder)
        page.get_by_label("Folder, label, address or text").fill(folder)
        page.get_by_role("button", name="Try it on a message").click()
        page.get_by_role("link", name=re.compile(f"Try the rules.*before {width}")).click()
        expect(page.get_by_text(f"It would go to: {folder}")).to_be_visible()
        page.get_by_role("link", name="What would this have done?").click()
        # The worker that people's jobs have is another process.
        expect(page.get_by_text("would have gone elsewhere.")).to_be_visible(timeout=30_000)
        page.get_by_label("Yes, so much mail is meant").check()
        page.get_by_role("button", name="Save: ").click()
        expect(page.get_by_role("heading", name=folder)).to_be_visible()

        send_news(site, f"after {width}")
        filed = inbox.path / f".{folder}" / "new"
        wait_for(lambda: filed.is_dir() and any(filed.iterdir()), f"the mail in {folder}")
        assert not inbox.messages(f"after {width}".encode())
        page.goto(site.url("/mail/rules/"))
        expect(page.get_by_text("1 message in 30 days")).to_be_visible()
        page.get_by_role("button", name="Delete").click()
        assert browser.overflow(page) <= 0
        assert page.script_errors == []
