"""The home page tells what the bundled site filters are doing."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Settings, SiteFilter, State
from mta.protocol.slew import Sighting
from mta.queue import releases, slews
from tests.queue.rows import make_message

pytestmark = pytest.mark.django_db


def home(browser):
    return " ".join(browser.get("/console/").text.split())


def test_a_slew_that_was_stopped(browser):
    for _ in range(3):
        message = make_message()
        slews.see(Sighting("dups", message.id, b"a" * 16, b"b" * 16, level=2, remembered=500))
    page = home(browser)
    assert "The filter dups stopped 3 copies of one text, the last one" in page
    assert "rule=site_filter%3Adups" in page


def test_whose_mail_waits(browser):
    message = make_message()
    message.recipient_set.update(state=State.HELD)
    releases.plan(message.id, timezone.now() + timedelta(hours=1), "rate", "<b>ann")
    page = home(browser)
    assert "&lt;b&gt;ann sends more than the filter rate lets through: 1 message held" in page


def test_a_filter_against_slews_needs_a_pause_before_delivery(browser):
    warning = "The filter dups can only cancel copies that wait, and submitdelay is 0."
    row = SiteFilter.objects.create(name="dups", kind="duplicate_slew", state="enforce")
    assert warning in home(browser)
    Settings.objects.update(submitdelay=timedelta(minutes=1))
    assert warning not in home(browser)
    Settings.objects.update(submitdelay=timedelta(0))
    row.state = "off"
    row.save()
    assert warning not in home(browser)
