"""Finding a message or a refusal, and reading what happened to it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Attempt, Event, Refusal
from tests.queue.rows import finish, make_message

pytestmark = pytest.mark.django_db

HOSTILE = '<script>alert("x")</script>\u202eexe.gnp\x07'


def make_story():
    """A message that was accepted, deferred once and then delivered."""
    start = timezone.now() - timedelta(minutes=10)
    message = make_message("bob@example.test", created_at=start, subject="Lunch?")
    recipient = message.recipient_set.get()
    decision = {
        "at": start.isoformat(),
        "stage": "rcpt",
        "subject": "bob@example.test",
        "verdict": "accept",
        "rule": "mailbox",
        "reply": "250 2.1.5 Recipient Ok",
        "version": 3,
        "steps": [
            {"rule": "too_many_recipients", "matched": False, "detail": "1 of 100"},
            {"rule": "mailbox", "matched": True, "detail": "a mailbox of ours"},
        ],
    }
    session = {"client_ip": "192.0.2.7", "helo": "client.example.org", "listener": "smtp"}
    data = {"session": session, "decisions": [decision], "size": 20}
    Event.objects.create(at=start, message=message, kind="accepted", data=data)
    for number, result, reply in ((1, "deferred", "451 4.2.2 full"), (2, "sent", "250 2.0.0 ok")):
        Attempt.objects.create(
            message=message,
            recipient=recipient,
            number=number,
            transport="esmtp",
            nexthop="mx:example.test",
            started_at=start + timedelta(minutes=5 * number - 5),
            finished_at=start + timedelta(minutes=5 * number),
            result=result,
            reply=reply,
            remote="mx.example.test [192.0.2.8]",
        )
    finish(message, start + timedelta(minutes=10))
    return message


def test_the_timeline_tells_the_story_in_order(browser):
    message = make_story()
    page = browser.get(f"/console/messages/{message.queue_id}/")
    parts = ["Connection from 192.0.2.7", "(rule mailbox)", "Queued as", "451 4.2.2", "250 2.0.0"]
    story = page.text[page.text.index("<h2>Timeline") :]
    places = [story.index(part) for part in parts]
    assert places == sorted(places)
    assert "+5 min" in story
    assert "too_many_recipients" in story
    assert "not matched" in story


def test_what_was_sent_on_shows_its_return_path(browser):
    message = make_message("pal@elsewhere.example")
    url = f"/console/messages/{message.queue_id}/"
    assert "sent on as from" not in browser.get(url).text
    message.recipient_set.update(return_path="SRS0=<b>@example.test")
    page = browser.get(url).text
    assert "sent on as from" in page
    assert "SRS0=&lt;b&gt;@example.test" in page


def test_a_finished_message_offers_no_actions(browser):
    message = make_story()
    assert 'name="verb"' not in browser.get(f"/console/messages/{message.queue_id}/").text


def test_the_header_is_shown_and_the_body_is_not(browser):
    content = b"Subject: =?utf-8?q?hi?=\r\nX-Long: one\r\n two\r\n\r\n<b>the body</b>\r\n"
    message = make_message(content=content)
    page = browser.get(f"/console/messages/{message.queue_id}/").text
    assert "one two" in page
    assert "the body" not in page
    source = browser.get(f"/console/messages/{message.queue_id}/source/").text
    assert "&lt;b&gt;the body&lt;/b&gt;" in source


@pytest.mark.parametrize("content", [b"", b"\r\n", b"no colon at all", b": x\r\n\r\n", b"\xff\xfe"])
def test_content_that_is_hardly_a_message_breaks_no_page(browser, content):
    message = make_message(content=content)
    assert browser.get(f"/console/messages/{message.queue_id}/").status_code == 200


def test_hostile_text_is_escaped_clipped_and_undisguised(browser):
    message = make_message(
        "bob@example.test",
        subject=HOSTILE + "x" * 100_000,
        reverse_path=HOSTILE,
        helo=HOSTILE,
        content=b"Subject: " + HOSTILE.encode() + b"\r\n\r\n",
    )
    message.recipient_set.update(last_reply=HOSTILE + "y" * 100_000)
    Event.objects.create(
        at=timezone.now(), message=message, kind="held", data={"reason": HOSTILE, "actor": HOSTILE}
    )
    paths = ("/console/queue/", f"/console/messages/{message.queue_id}/", "/console/")
    for path in paths:
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert len(page) < 150_000


def test_a_refusal_is_explained_step_by_step(browser, refusal):
    page = browser.get(f"/console/refusals/{refusal.pk}/").text
    for part in ("550 5.1.1 nobody here by that name", "unknown_here", "no such mailbox"):
        assert part in page
    assert "not matched" in page
    assert "spammer@junk.example" in page


def test_a_refusal_with_rubbish_in_it_is_shown(browser, refusal):
    Refusal.objects.update(trace={}, session=[], reverse_path=None, recipient="", text=HOSTILE)
    page = browser.get(f"/console/refusals/{refusal.pk}/")
    assert page.status_code == 200
    assert "<script>alert" not in page.text


def test_refusals_are_listed_and_filtered(browser, refusal):
    assert "nobody@example.test" in browser.get("/console/refusals/").text
    assert "nobody@example.test" in browser.get("/console/refusals/?rule=unknown_here").text
    assert "No refusal matches" in browser.get("/console/refusals/?rule=denied").text
    for query in ("before=x", "before=99999999999999999999999", "rule=%00"):
        assert browser.get(f"/console/refusals/?{query}").status_code == 200


def test_a_queue_id_leads_straight_to_its_message(browser):
    message = make_message()
    response = browser.get("/console/find/", {"q": message.queue_id})
    assert response.url == f"/console/messages/{message.queue_id}/"


@pytest.mark.parametrize(
    "query", ["nobody@example.test", "ip:203.0.113.9", "rule:unknown_here", "status:refused"]
)
def test_refused_mail_is_found(browser, refusal, query):
    page = browser.get("/console/find/", {"q": query}).text
    assert f"/console/refusals/{refusal.pk}/" in page


@pytest.mark.parametrize("query", ["bob@example.test", "from:alice@example.org", "192.0.2.7"])
def test_delivered_mail_is_found(browser, query):
    message = make_message("bob@example.test")
    finish(message, timezone.now())
    page = browser.get("/console/find/", {"q": query}).text
    assert message.queue_id in page
    assert "delivered" in page


@pytest.mark.parametrize("query", ["%", "'; DROP TABLE", "\0", "x" * 5000, ":", "ip:", "<>", "*"])
def test_a_strange_search_is_no_error(browser, query):
    assert browser.get("/console/find/", {"q": query}).status_code == 200


@pytest.mark.parametrize("path", ["messages/zzz/", "messages/0000000000001/", "refusals/99/"])
def test_what_is_not_there_is_not_found(browser, path):
    assert browser.get(f"/console/{path}").status_code == 404
