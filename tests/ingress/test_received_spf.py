"""What SPF said is in the message, on top, one header for each identity that was asked."""

import email
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mta.models import Content
from tests.support.dns import DnsServer, txt
from tests.support.smtp_session import Ingress

ZONE = {
    "good.example": {"A": ["192.0.2.1"], "TXT": txt("v=spf1 ip4:127.0.0.1 -all")},
    "client.example.org": {"A": ["192.0.2.2"], "TXT": txt("v=spf1 ?all")},
}
CONTENT = b"Received-SPF: pass (mail.example.test: we never said so)\r\nSubject: x\r\n\r\nx\r\n"


@pytest.fixture(autouse=True)
def dns(settings) -> Iterator[None]:
    with DnsServer(ZONE) as server:
        settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=server.address)
        yield


def stored_spf(ingress: Ingress) -> list[str]:
    with ingress.connect() as client:
        reply = client.mail("bob@example.test", content=CONTENT, sender="a@good.example")
        assert reply.startswith("250"), reply
    (data,) = Content.objects.values_list("data", flat=True)
    message = email.message_from_bytes(bytes(data))
    assert message.get_all("Old-Received-SPF") is not None
    return [str(value) for value in message.get_all("Received-SPF", [])]


def test_each_identity_that_was_asked(ingress: Ingress, change):
    change(spf_helo="all", spf_mailfrom="all")
    helo, mailfrom = stored_spf(ingress)
    assert helo.startswith("neutral (")
    assert "identity=helo" in helo
    assert mailfrom.startswith("pass (")
    assert "identity=mailfrom" in mailfrom
    assert 'envelope-from="a@good.example"' in mailfrom
    assert "client-ip=127.0.0.1" in mailfrom


def test_nothing_without_spf(ingress: Ingress):
    assert stored_spf(ingress) == []
