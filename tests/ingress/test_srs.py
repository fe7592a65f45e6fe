"""Mail that aliases send on, and the bounces of it."""

import pytest

from mta.models import Alias, Domain, Message, Recipient
from mta.protocol import srs


@pytest.fixture
def forwarding(ingress, change):
    change(srs=True)
    Alias.objects.create(
        name="mixed@example.test", targets=["bob@example.test", "pal@elsewhere.example"]
    )
    return ingress


def return_paths() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "return_path"))


def forwarded(ingress, sender: str = "a@b.example") -> str:
    """The return path that forwarded mail gets."""
    with ingress.connect() as client:
        assert client.mail("away@example.test", sender=sender).startswith("250")
    return Recipient.objects.latest("id").return_path


def test_only_foreign_mail_that_leaves_by_an_alias_gets_one(forwarding):
    with forwarding.connect() as client:
        client.mail("away@example.test", "mixed@example.test", "x@backup.example")
    found = return_paths()
    for address in ("friend@elsewhere.example", "pal@elsewhere.example"):
        assert srs.is_srs(found.pop(address))
    assert set(found.values()) == {""}
    assert Message.objects.get().reverse_path == "a@b.example"


@pytest.mark.parametrize("sender", ["", "bob@example.test", "x@backup.example"])
def test_null_senders_and_our_own_stay(forwarding, sender):
    assert forwarded(forwarding, sender) == ""


def test_it_is_off_at_first(ingress):
    assert forwarded(ingress) == ""


def test_a_bounce_finds_back(forwarding):
    address = forwarded(forwarding)
    assert address.endswith("@example.test")
    with forwarding.connect() as client:
        assert client.mail(address.lower(), sender="").startswith("250")
    bounce = Recipient.objects.latest("id")
    assert (bounce.address, bounce.transport) == ("a@b.example", "esmtp")
    assert bounce.message.reverse_path == ""


def test_a_bounce_is_taken_when_srs_was_switched_off_meanwhile(forwarding, change):
    address = forwarded(forwarding)
    change(srs=False)
    with forwarding.connect() as client:
        assert client.mail(address, sender="").startswith("250")


def test_it_opens_no_relaying(forwarding):
    address = forwarded(forwarding)
    with forwarding.connect() as client:
        client.command("MAIL FROM:<evil@spam.example>")
        assert client.command(f"RCPT TO:<{address}>").startswith("550 5.7.1")
        client.command("RSET")
        client.command("MAIL FROM:<>")
        changed = address.replace("b.example", "victim.example")
        assert "not one that we made" in client.command(f"RCPT TO:<{changed}>")
        assert client.command("RCPT TO:<SRS0=x@example.test>").startswith("550 5.1.1")


def test_an_expired_one_is_refused_with_the_reason(forwarding, monkeypatch):
    address = forwarded(forwarding)
    today = srs.day_of
    monkeypatch.setattr(srs, "day_of", lambda seconds: today(seconds) + srs.MAX_AGE + 1)
    with forwarding.connect() as client:
        client.command("MAIL FROM:<>")
        assert "has expired" in client.command(f"RCPT TO:<{address}>")


def test_the_bounce_of_what_was_forwarded_before_goes_back_one_step(forwarding):
    before = srs.forward("ann@a.example", "first.example", b"theirs", 20_000)
    address = forwarded(forwarding, before)
    assert address.startswith("SRS1=")
    with forwarding.connect() as client:
        assert client.mail(address, sender="").startswith("250")
    assert Recipient.objects.latest("id").address == before


def test_a_domain_that_is_a_foreign_one_forwards_too(forwarding):
    Domain.objects.create(name="old.test")
    Alias.objects.create(name="@old.test", targets=["*@elsewhere.example"])
    with forwarding.connect() as client:
        client.mail("Somebody@old.test")
    assert Recipient.objects.get().return_path.endswith("@old.test")
