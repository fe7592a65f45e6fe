"""The page by which somebody agrees to have mail forwarded to them."""

import pytest
from django.test import Client

from mta import forward_confirmation
from mta.models import Domain, Mailbox
from mta.protocol.envelope import Envelope

FRIEND = "friend@far.example"


@pytest.fixture
def mailbox(db) -> Mailbox:
    domain = Domain.objects.create(name="example.com")
    return Mailbox.objects.create(domain=domain, local_part="ann")


@pytest.fixture
def link(mailbox: Mailbox) -> str:
    sent: list[bytes] = []

    def enqueue(envelope: Envelope, content: bytes, origin: str) -> None:
        sent.append(content)

    forward_confirmation.ask(mailbox, FRIEND, hostname="mail.example.test", enqueue=enqueue)
    text = sent[0].replace(b"=\r\n", b"").decode()
    return text.partition("https://mail.example.test")[2].split()[0]


def test_looking_agrees_to_nothing(client: Client, mailbox: Mailbox, link: str) -> None:
    page = client.get(link)
    assert "ann@example.com" in page.content.decode()
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert not forward_confirmation.is_confirmed(mailbox, FRIEND)


def test_the_button_agrees(client: Client, mailbox: Mailbox, link: str) -> None:
    assert "You have agreed" in client.post(link).content.decode()
    assert forward_confirmation.is_confirmed(mailbox, FRIEND)
    assert "You have agreed" in client.get(link).content.decode()


@pytest.mark.parametrize("token", ["x", "%00", "a" * 5000, "%E2%82%AC"])
def test_any_other_token_is_not_valid(client: Client, db, token: str) -> None:
    for answer in (client.get(f"/mail/confirm/{token}"), client.post(f"/mail/confirm/{token}")):
        assert answer.status_code == 404
        assert "not valid" in answer.content.decode()


def test_another_site_cannot_agree(mailbox: Mailbox, link: str) -> None:
    assert Client(enforce_csrf_checks=True).post(link).status_code == 403
    assert not forward_confirmation.is_confirmed(mailbox, FRIEND)
