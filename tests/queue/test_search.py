"""Search by queue id, address, Message-ID, IP and prefixes, over accepted and refused mail."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Refusal, State
from mta.queue.history import search
from tests.queue.rows import add_recipient, make_message

pytestmark = pytest.mark.django_db


def make_refusal(**fields):
    values = {
        "at": timezone.now(),
        "stage": "rcpt",
        "client_ip": "192.0.2.9",
        "helo": "h",
        "auth_user": "",
        "reverse_path": "eve@example.org",
        "recipient": "nobody@example.test",
        "code": 550,
        "status": "5.1.1",
        "text": "no such user",
        "rule": "unknown_recipient",
        "policy_version": 1,
        "trace": [],
        "session": {},
        **fields,
    }
    return Refusal.objects.create(**values)


@pytest.fixture
def message():
    message = make_message(
        "bob@example.test", header_message_id="<one@example.org>", client_ip="2001:db8::7"
    )
    add_recipient(message, "carol@example.test", state=State.DELIVERED)
    make_message("dan@other.test", reverse_path="zoe@example.org")
    return message


@pytest.mark.parametrize(
    "query",
    [
        "{qid}",
        "qid:{qid}",
        "bob@example.test",
        "bob@EXAMPLE.test",
        "bob@*",
        "to:carol@example.test",
        "from:alice@example.org",
        "from:alice@example.org to:bob@example.test",
        "<one@example.org>",
        "msgid:one@example.org",
        'msgid:"<one@example.org>"',
        "2001:db8::7",
        "ip:2001:db8::7",
        "ip:2001:db8:*",
        "to:bob@example.test status:queued",
    ],
)
def test_finds_the_message_and_only_it(message, query):
    hits = search(query.format(qid=message.queue_id))
    assert [hit.queue_id for hit in hits] == [message.queue_id]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        ":",
        "%",
        "_ob@example.test",
        "to:%",
        "to:_*",
        "qid:nonsense",
        "';--",
        "\x00",
        "from:x to:y",
    ],
)
def test_nothing_matches_what_is_not_there(message, query):
    assert search(query) == []


def test_the_status_of_the_recipient_that_matched_is_shown(message):
    (hit,) = search("to:carol@example.test")
    assert (hit.recipient, hit.status) == ("carol@example.test", "delivered")


@pytest.mark.parametrize(
    "query",
    [
        "nobody@example.test",
        "to:nobody@*",
        "from:eve@example.org",
        "ip:192.0.2.9",
        "192.0.2.9",
        "rule:unknown_recipient",
        "status:5.1.1 to:nobody@example.test",
        "status:refused",
    ],
)
def test_finds_refusals(message, query):
    refusal = make_refusal()
    (hit,) = search(query)
    assert (hit.refusal_id, hit.message_id, hit.queue_id) == (refusal.id, None, "")
    assert hit.text == "550 5.1.1 no such user (rule unknown_recipient)"


def test_what_was_only_logged_is_told_apart(message):
    logged = make_refusal(enforced=False)
    make_refusal()
    (hit,) = search("status:logged")
    assert (hit.refusal_id, hit.status) == (logged.id, "logged")
    (hit,) = search("status:refused")
    assert hit.refusal_id != logged.id
    assert {hit.status for hit in search("nobody@example.test")} == {"logged", "refused"}


def test_newest_first_and_never_more_than_asked():
    now = timezone.now()
    for hour in (1, 3, 2):
        make_message(created_at=now - timedelta(hours=hour))
    make_refusal(recipient="bob@example.test", at=now - timedelta(minutes=90))

    hits = search("to:bob@example.test", limit=3)

    assert [round((now - hit.at) / timedelta(minutes=1)) for hit in hits] == [60, 90, 120]
