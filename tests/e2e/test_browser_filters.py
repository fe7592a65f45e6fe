"""Refused mail and site filters on trial in a real browser, on a desk and on a phone."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from mta import runtime
from mta.models import Domain, Mailbox, Message, Refusal, RefusedContent, SiteFilter
from tests.e2e.test_browser import (  # noqa: F401 - fixtures
    database_calls_beside_a_running_loop,
    no_connection_outlives_its_request,
    page,
)
from tests.support import browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(browser.executable() is None, reason="there is no Chromium"),
]

TEXT = 'require "reject";\nif header :contains "subject" "offer" { reject "no offers here"; }\n'
CONTENT = b"From: Ann <ann@shop.example>\r\nSubject: an offer\r\n\r\nbuy\r\n"


@pytest.fixture
def refused() -> Refusal:
    """A message that the filter "words" refused, and whose content is kept."""
    runtime.directory.cache_clear()
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")
    SiteFilter.objects.create(name="words", kind="sieve", text=TEXT)
    now = timezone.now()
    RefusedContent.objects.create(
        id=77,
        expires_at=now + timedelta(hours=24),
        size=len(CONTENT),
        content=CONTENT,
        envelope={
            "reverse_path": "ann@shop.example",
            "recipients": [{"address": "bob@example.test"}],
            "source": "esmtp",
        },
    )
    return Refusal.objects.create(
        at=now,
        stage="content",
        client_ip="203.0.113.9",
        helo="mail.shop.example",
        auth_user="",
        reverse_path="ann@shop.example",
        recipient="bob@example.test",
        code=550,
        status="5.7.1",
        text="no offers here",
        rule="site_filter:words",
        policy_version=1,
        trace=[{"rule": "site_filter:words", "matched": True, "detail": "line 2"}],
        session={},
        content_id=77,
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_refused_mail_is_found_and_accepted_after_all(page, live_server, refused, width):  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{live_server.url}/console/refusals/?filter=words")
    assert browser.overflow(page) <= 0
    page.locator(f"a[href='/console/refusals/{refused.pk}/']").click()
    expect(page.get_by_text("an offer")).to_be_visible()
    assert browser.overflow(page) <= 0
    page.get_by_role("link", name="Accept after all").click()
    expect(page.get_by_text("Filters are not asked again")).to_be_visible()
    assert browser.overflow(page) <= 0
    page.get_by_role("button", name="Accept after all").click()
    expect(page.get_by_text("although it was refused")).to_be_visible()
    assert Message.objects.get().reverse_path == "ann@shop.example"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_draft_is_tried(page, live_server, refused, width):  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    row = SiteFilter.objects.get()
    page.goto(f"{live_server.url}/console/filters/{row.pk}/try/")
    assert browser.overflow(page) <= 0
    page.get_by_label("A message that is still there").select_option(f"r{refused.pk}")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="It says refuse")).to_be_visible()
    expect(page.get_by_text("no offers here").first).to_be_visible()
    assert browser.overflow(page) <= 0
    page.get_by_label("Draft").fill("keep;")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="It says pass")).to_be_visible()
