"""The queue page: what it lists, and the verbs on rows and on everything that matches."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from mta.models import Event, Recipient
from tests.queue.rows import add_recipient, finish, make_message

pytestmark = pytest.mark.django_db

CONFIRM, APPLY, QUEUE = "/console/queue/confirm/", "/console/queue/apply/", "/console/queue/"


def states():
    return dict(Recipient.objects.values_list("address", "state"))


def test_an_empty_queue_says_so(browser):
    assert "The queue is empty" in browser.get(QUEUE).text


def test_live_recipients_are_listed_and_finished_ones_are_not(browser):
    live = make_message("bob@slow.test")
    finish(make_message("done@example.test"), timezone.now())
    page = browser.get(QUEUE).text
    assert live.queue_id in page
    assert "bob@slow.test" in page
    assert "done@example.test" not in page


@pytest.mark.parametrize(
    "query",
    [
        "sender=news",
        "recipient=bob@",
        "destination=slow.test",
        "reply=greylisted",
        "age=1 h",
        "state=held",
    ],
)
def test_filters_live_in_the_address(browser, query):
    old = make_message(
        created_at=timezone.now() - timedelta(hours=2), reverse_path="news@example.org"
    )
    Recipient.objects.all().delete()
    add_recipient(old, "bob@slow.test", last_reply="451 4.7.1 Greylisted", state="held")
    other = make_message("carol@fast.test")
    page = browser.get(f"{QUEUE}?{query}").text
    assert old.queue_id in page
    assert other.queue_id not in page


@pytest.mark.parametrize("query", ["state=gone", "age=yesterday", "after=rubbish", "sender=%00"])
def test_a_senseless_filter_is_no_error(browser, query):
    message = make_message()
    response = browser.get(f"{QUEUE}?{query}")
    assert response.status_code == 200
    assert message.queue_id in response.text


def test_pages_follow_each_other_without_gaps(browser):
    message = make_message("first@example.test")
    for number in range(60):
        add_recipient(message, f"r{number}@example.test")
    first = browser.get(QUEUE)
    second = browser.get(QUEUE, {"after": first.context["next_cursor"]})
    seen = [row.address for page in (first, second) for row in page.context["rows"]]
    assert len(seen) == len(set(seen)) == 61
    assert second.context["next_cursor"] == ""


def test_the_count_is_shown_before_anything_happens(browser):
    message = make_message("bob@slow.test", "carol@slow.test")
    chosen = message.recipient_set.get(address="bob@slow.test")
    page = browser.post(CONFIRM, {"verb": "hold", "recipient": chosen.pk})
    assert "Hold 1 recipient" in page.text
    assert set(states().values()) == {"queued"}


def test_only_the_ticked_rows_are_held(browser):
    message = make_message("bob@slow.test", "carol@slow.test")
    chosen = message.recipient_set.get(address="bob@slow.test")
    order = {"verb": "hold", "recipient": chosen.pk, "reason": "customer asked"}
    page = browser.post(APPLY, order, follow=True)
    assert "1 recipient is held" in page.text
    assert states() == {"bob@slow.test": "held", "carol@slow.test": "queued"}
    assert Event.objects.get(kind="held").data == {"actor": "root", "reason": "customer asked"}


def test_all_that_match_means_the_filter_and_nothing_else(browser):
    make_message("bob@slow.test", "carol@fast.test", "dora@slow.test")
    order = {"verb": "hold", "all": "1", "filter": "destination=slow.test"}
    assert "Hold 2 recipients" in browser.post(CONFIRM, order).text
    browser.post(APPLY, order)
    assert states() == {
        "bob@slow.test": "held",
        "carol@fast.test": "queued",
        "dora@slow.test": "held",
    }


def test_release_gives_back_what_was_held(browser):
    message = make_message("bob@slow.test")
    browser.post(APPLY, {"verb": "hold", "message": message.queue_id})
    response = browser.post(APPLY, {"verb": "release", "message": message.queue_id})
    assert response.url == f"/console/messages/{message.queue_id}/"
    assert states() == {"bob@slow.test": "queued"}


def test_retry_makes_the_next_attempt_due(browser):
    message = make_message("bob@slow.test")
    Recipient.objects.update(next_attempt=timezone.now() + timedelta(hours=3))
    browser.post(APPLY, {"verb": "retry", "message": message.queue_id})
    assert Recipient.objects.get().next_attempt <= timezone.now()


def test_cancel_needs_a_reason_and_tells_it(browser):
    message = make_message("bob@slow.test")
    order = {"verb": "cancel", "message": message.queue_id}
    assert "Write a reason" in browser.post(APPLY, order).text
    assert states() == {"bob@slow.test": "queued"}
    browser.post(APPLY, {**order, "reason": "sent by mistake"})
    assert states() == {"bob@slow.test": "cancelled"}
    assert "sent by mistake" in Recipient.objects.get().last_reply


def test_nothing_ticked_changes_nothing(browser):
    make_message("bob@slow.test")
    page = browser.post(CONFIRM, {"verb": "cancel"}, follow=True)
    assert "Tick at least one row" in page.text
    assert browser.post(APPLY, {"verb": "hold"}).status_code == 400
    assert states() == {"bob@slow.test": "queued"}


@pytest.mark.parametrize(
    "order",
    [
        {"verb": "explode", "all": "1"},
        {"verb": "hold", "recipient": "x"},
        {"verb": "hold", "recipient": str(1 << 70)},
        {"verb": "hold", "message": "not-an-id"},
    ],
)
def test_a_senseless_order_is_refused(browser, order):
    make_message("bob@slow.test")
    assert browser.post(APPLY, order).status_code == 400
    assert states() == {"bob@slow.test": "queued"}


def test_who_may_only_look_gets_no_buttons(client, django_user_model):
    message = make_message("bob@slow.test")
    reader = django_user_model.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(*_view_permission())
    client.force_login(reader)
    assert 'value="cancel"' not in client.get(QUEUE).text
    assert client.post(APPLY, {"verb": "hold", "message": message.queue_id}).status_code == 403
    assert states() == {"bob@slow.test": "queued"}


def _view_permission():
    return Permission.objects.filter(codename="view_message")


def test_reroute_asks_for_the_next_hop_and_says_what_is_wrong_with_it(browser):
    message = make_message("bob@slow.test")
    order = {"verb": "reroute", "recipient": message.recipient_set.get().pk}
    assert "Next hop" in browser.post(CONFIRM, order).text
    refused = browser.post(APPLY, {**order, "value": "no host"})
    assert "HOST" in refused.text
    assert not Event.objects.exists()
    browser.post(APPLY, {**order, "value": "relay.test", "reason": "slow"})
    row = message.recipient_set.get()
    assert (row.pinned, row.nexthop) == (True, "relay:relay.test:25")
    assert "Rerouted by" in browser.get(f"/console/messages/{message.queue_id}/").text


def test_the_expiry_of_all_that_match_is_changed(browser):
    make_message("bob@slow.test", "carol@fast.test")
    order = {"verb": "expiry", "all": "1", "filter": "recipient=bob"}
    assert "Change expiry 1 recipient" in browser.post(CONFIRM, order).text
    browser.post(APPLY, {**order, "value": "1 h"})
    bob = Recipient.objects.get(address="bob@slow.test")
    assert bob.expires_at - timezone.now() < timedelta(hours=1, minutes=1)
    assert Event.objects.get().recipient_id == bob.pk


def test_the_message_page_tells_the_next_attempts(browser):
    message = make_message("bob@slow.test")
    page = browser.get(f"/console/messages/{message.queue_id}/").text
    assert "Next attempts" in page
    finish(message, timezone.now())
    page = browser.get(f"/console/messages/{message.queue_id}/").text
    assert "Next attempts" not in page
