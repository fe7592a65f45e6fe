"""Trying a site filter on the console: one message with its trace, or all that are still there."""

import re

import django_rq
import pytest
from rq import SimpleWorker

from courierweb.jobs import filter_replay
from mta import runtime
from mta.models import Domain, Mailbox, Message, Refusal, SiteFilter
from mta.protocol.envelope import Envelope, Recipient, Source

TEXT = 'require "reject";\nif header :contains "subject" "offer" { reject "no <b>offers</b>"; }\n'
PASTED = "Subject: an offer\n\nbuy\n"


@pytest.fixture
def row(transactional_db) -> SiteFilter:
    runtime.directory.cache_clear()
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")
    return SiteFilter.objects.create(name="words", kind="sieve", text=TEXT)


@pytest.fixture
def queue_id(row) -> str:
    envelope = Envelope("a@b.example", (Recipient("bob@example.test"),), Source.ESMTP)
    return runtime.enqueue(envelope, b"Subject: an offer\r\n\r\nbuy\r\n")


def url(row):
    return f"/console/filters/{row.pk}/try/"


def test_the_page_begins_with_the_text_in_force(browser, row, queue_id):
    page = browser.get(url(row)).text
    assert "header :contains" in page
    assert "an offer" in page


def test_the_filter_leads_there(browser, row):
    page = browser.get(f"/console/mta/sitefilter/{row.pk}/change/").text
    assert f'href="{url(row)}"' in page
    assert "/console/refusals/?filter=words" in page


def test_a_pasted_message_is_judged_with_its_trace(browser, row):
    page = browser.post(url(row), {"text": TEXT, "pasted": PASTED}).text
    assert "It says refuse" in page
    assert "no &lt;b&gt;offers" in page
    assert "What was compared" in page
    assert not Refusal.objects.exists()
    assert not Message.objects.exists()


def test_a_draft_is_tried_and_not_saved(browser, row, queue_id):
    chosen = f"m{Message.objects.get().pk}"
    page = browser.post(url(row), {"text": "keep;", "sample": chosen}).text
    assert "It says pass" in page
    row.refresh_from_db()
    assert row.text == TEXT


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ({"text": TEXT}, "Choose a message, or paste one."),
        ({"text": "keep", "pasted": PASTED}, "line 1"),
        ({"text": "", "pasted": PASTED}, "there is no Sieve text"),
        ({"text": TEXT, "sample": "m1"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_tried_is_told(browser, row, data, answer):
    assert answer in browser.post(url(row), data).text


def test_a_filter_with_effects_is_not_tried(browser, row):
    SiteFilter.objects.update(kind="command")
    page = browser.post(url(row), {"pasted": PASTED}).text
    assert "cannot be tried" in page
    SiteFilter.objects.update(kind="nonsense")
    assert browser.post(url(row), {"pasted": PASTED}).status_code == 200


def test_the_job_lists_what_would_be_another_way(row, queue_id):
    found = filter_replay.replay(row.facts(), 100)
    assert found["looked_at"] == 1
    (change,) = found["changes"]
    assert change["sample"]["queue_id"] == queue_id
    assert change["would"] == "refuse"


def test_who_may_not_change_filters_may_not_try_them(row, client, django_user_model):
    client.force_login(django_user_model.objects.create_user("eve", is_staff=True))
    assert client.get(url(row)).status_code == 403
    assert client.post(f"/console/filters/{row.pk}/replay/").status_code == 403


class TestReplay:
    @pytest.fixture(autouse=True)
    def own_queue(self, settings):
        """A queue that no running worker looks at."""
        url = re.sub(r"db=\d+", "db=15", settings.RQ_QUEUES["default"]["URL"])
        settings.RQ_QUEUES = {"default": {"URL": url, "DEFAULT_TIMEOUT": 60}}

    def test_the_page_shows_what_it_found(self, browser, row, queue_id):
        started = browser.post(
            f"/console/filters/{row.pk}/replay/", {"text": TEXT, "messages": "10"}
        )
        assert "waiting for a worker" in browser.get(started.url).text
        queue = django_rq.get_queue("default")
        SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="WARNING")
        page = browser.get(started.url).text
        assert "1 of 1 messages would be another way" in page
        assert f"/console/messages/{queue_id}/" in page
        assert "<b>refuse</b>" in page

    def test_too_many_are_told_so(self, browser, row):
        data = {"text": TEXT, "messages": "501"}
        page = browser.post(f"/console/filters/{row.pk}/replay/", data, follow=True).text
        assert "between 1 and 500" in page
