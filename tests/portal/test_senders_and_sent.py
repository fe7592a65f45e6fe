"""Sender lists, and where the owner's mail is."""

import pytest

from mta.models import Message, Recipient, SenderListing
from tests.queue.rows import make_message

pytestmark = pytest.mark.django_db


def test_senders_are_listed_changed_and_removed(owner, bob):
    owner.post("/mail/senders/", {"sender": " @Junk.Example ", "word": "block"})
    listing = bob.sender_listings.get()
    assert (listing.sender, listing.word) == ("@junk.example", "block")
    owner.post("/mail/senders/", {"sender": "@junk.example", "word": "allow"})
    assert bob.sender_listings.get().word == "allow"
    assert "@junk.example" in owner.get("/mail/senders/").text
    owner.post(f"/mail/senders/{listing.pk}/remove/")
    assert not SenderListing.objects.exists()


@pytest.mark.parametrize("sender", ["", "@", "nobody", "a b@c.example", "@-", "<a@b.example>"])
def test_what_is_no_sender_is_told(owner, sender):
    page = owner.post("/mail/senders/", {"sender": sender, "word": "block"})
    assert page.status_code == 400
    assert not SenderListing.objects.exists()


def sent_by_bob(address="ann@slow.example", **fields):
    message = make_message(address)
    Message.objects.filter(pk=message.pk).update(auth_user="bob@example.test", subject="Minutes")
    Recipient.objects.filter(message=message).update(**fields)
    return message


def test_sent_mail_says_why_it_waits(owner):
    sent_by_bob(attempts=2, last_reply="451 4.7.1 greylisted, come back")
    page = owner.get("/mail/sent/").text
    assert "Minutes" in page
    assert "Still trying" in page
    assert "The other side asks us to wait." in page
    assert "Next try" in page


def test_what_waits_is_cancelled(owner):
    message = sent_by_bob()
    page = owner.post(f"/mail/sent/{message.queue_id}/cancel/", follow=True)
    assert "Cancelled for 1 recipient" in page.text
    assert Recipient.objects.get().state in ("cancelled", "failed")
    page = owner.post(f"/mail/sent/{message.queue_id}/cancel/", follow=True)
    assert "too late" in page.text


def test_mail_that_only_bears_the_name_is_somebody_elses(owner):
    message = make_message("ann@slow.example")
    Message.objects.filter(pk=message.pk).update(reverse_path="bob@example.test", source="esmtp")
    assert message.queue_id not in owner.get("/mail/sent/").text
    assert owner.post(f"/mail/sent/{message.queue_id}/cancel/").status_code == 404
    assert Recipient.objects.get().state == "queued"


def test_there_is_no_such_message(owner):
    assert owner.post("/mail/sent/nonsense/cancel/").status_code == 404


def test_the_overview_has_it_all(owner, store, script):
    script("# rule:[One]\nif true { discard; }\n")
    store("Newest of all")
    sent_by_bob(state="failed", last_reply="550 5.1.1 no such user")
    page = owner.get("/mail/").text
    for words in ("1 of 1 rule in force", "1 to look at", "Newest of all", "Minutes", "1 failed"):
        assert words in page
