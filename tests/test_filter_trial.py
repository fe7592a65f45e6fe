"""What a draft of a site filter would have done with mail that was taken, held or refused."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta import filter_trial, runtime
from mta.models import (
    Content,
    Domain,
    Event,
    Mailbox,
    Message,
    Recipient,
    Refusal,
    RefusedContent,
    SiteFilter,
    State,
)
from mta.protocol.envelope import Envelope, Source
from mta.protocol.envelope import Recipient as To
from mta.protocol.queue_id import decode_queue_id

BOB = "bob@example.test"
DRAFT = """require ["reject", "envelope"];
if header :contains "subject" "offer" { reject "550 5.7.1 no offers"; }
if envelope :is "from" "thief@b.example" { discard; }
"""


@pytest.fixture
def town(transactional_db):
    runtime.directory.cache_clear()
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")


@pytest.fixture
def words(town) -> SiteFilter:
    return SiteFilter.objects.create(name="words", kind="sieve", text=DRAFT)


def taken(subject, sender="a@b.example", source=Source.ESMTP):
    """A message in the queue; gives its queue id."""
    content = f"Subject: {subject}\r\n\r\nx\r\n".encode()
    return runtime.enqueue(Envelope(sender, (To(BOB),), source, client_ip="203.0.113.9"), content)


def refused(subject, rule="site_filter:words"):
    """The number of a refusal whose content is kept."""
    number = 100 + Refusal.objects.count()
    content = f"Subject: {subject}\r\n\r\nx\r\n".encode()
    envelope = {
        "reverse_path": "a@b.example",
        "recipients": [{"address": BOB}],
        "source": "esmtp",
    }
    soon = timezone.now() + timedelta(hours=1)
    RefusedContent.objects.create(
        id=number, expires_at=soon, size=len(content), content=content, envelope=envelope
    )
    return Refusal.objects.create(
        at=timezone.now(),
        stage="content",
        client_ip="203.0.113.9",
        helo="",
        auth_user="",
        reverse_path="a@b.example",
        recipient=BOB,
        code=550,
        status="5.7.1",
        text="no",
        rule=rule,
        policy_version=1,
        trace=[],
        session={},
        content_id=number,
    ).pk


def changes(row):
    """Queue id or refusal -> what would be another way."""
    terms = row.facts()
    found = [filter_trial.compare(terms, each) for each in filter_trial.samples(50, row.name)]
    return {each.sample.queue_id or each.sample.refusal: each.would for each in found if each}


def test_what_would_be_refused_or_discarded_that_was_not(words):
    offer, theft = taken("an offer"), taken("hello", "thief@b.example")
    taken("hello")
    assert changes(words) == {offer: "refuse", theft: "discard"}


def test_what_was_refused_and_would_not_be(words):
    harmless = refused("hello")
    refused("an offer")
    refused("hello", rule="site_filter:another")
    assert changes(words) == {harmless: "pass"}


def test_what_was_held_and_would_not_be(words):
    queue_id = taken("hello")
    Recipient.objects.filter(message_id=decode_queue_id(queue_id)).update(state=State.HELD)
    assert changes(words) == {queue_id: "pass"}


def test_mail_from_elsewhere_is_not_asked_about(words):
    queue_id = taken("an offer", source=Source.LOCAL)
    assert changes(words) == {}
    SiteFilter.objects.update(local=True)
    words.refresh_from_db()
    assert changes(words) == {queue_id: "refuse"}


def test_mail_without_content_is_not_looked_at(words):
    taken("an offer")
    Content.objects.all().delete()
    assert filter_trial.samples(50, "words") == []


def test_trouble_is_told_and_not_raised(words):
    queue_id = taken("an offer")
    SiteFilter.objects.update(text="nonsense;")
    words.refresh_from_db()
    assert changes(words) == {queue_id: "trouble"}


def test_a_kind_with_effects_is_never_asked(words):
    queue_id = taken("an offer")
    SiteFilter.objects.update(kind="command", text="", options={"command": "/bin/false"})
    words.refresh_from_db()
    assert changes(words) == {queue_id: "trouble"}


def test_nothing_is_changed_by_it(words):
    taken("an offer")
    before = (Message.objects.count(), Event.objects.count(), Refusal.objects.count())
    changes(words)
    assert (Message.objects.count(), Event.objects.count(), Refusal.objects.count()) == before


def test_the_sender_is_judged_without_the_content(words):
    SiteFilter.objects.update(stage="sender")
    words.refresh_from_db()
    taken("an offer")
    theft = taken("hello", "thief@b.example")
    assert changes(words) == {theft: "discard"}
