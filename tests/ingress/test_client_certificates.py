"""Who is asked for a client certificate, and what one that nobody vouches for costs."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import certificate
from mta.ingress import process, tls
from mta.ingress.house import Listener
from tests.support.smtp_session import Client, Hangup, Ingress, running_ingress

SMTP, SUBMISSION = Listener("smtp"), Listener("submission", auth_required=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Our certificate, and somebody who vouches for clients: here, ourselves."""
    certificate.ensure(tmp_path, "mail.example.test")
    (tmp_path / "clients.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
    return tmp_path


@pytest.fixture
def stranger(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A client with a certificate that nobody here vouches for."""
    own = tmp_path_factory.mktemp("stranger")
    certificate.ensure(own, "stranger.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    return context


def context_of(folder: Path) -> ssl.SSLContext:
    return process.tls_context(str(folder / "cert.pem"), str(folder / "key.pem"))


@pytest.fixture
def asking(town, folder: Path) -> Iterator[Ingress]:
    with running_ingress(context_of(folder)) as running:
        yield running


def shake_hands(client: Client, context: ssl.SSLContext) -> None:
    assert client.command("STARTTLS").startswith("220")
    client.sock = context.wrap_socket(client.sock)


def test_another_server_keeps_its_certificate_to_itself(asking, stranger):
    with asking.connect() as client:
        shake_hands(client, stranger)
        client.command("EHLO stranger.example")
        assert client.mail("bob@example.test").startswith("250")


def test_a_user_with_a_certificate_of_a_stranger_gets_no_session(asking, stranger):
    with asking.connect("submission") as client, pytest.raises((OSError, Hangup)):
        shake_hands(client, stranger)
        client.command("EHLO stranger.example")


def test_a_user_needs_none(asking):
    with asking.connect("submission") as client:
        client.starttls()
        assert "EXTERNAL" not in client.command("EHLO laptop.example.org")


def test_only_users_are_asked(folder):
    context = context_of(folder)
    assert tls.for_listener(context, SMTP).verify_mode is ssl.CERT_NONE
    assert tls.for_listener(context, SUBMISSION).verify_mode is ssl.CERT_OPTIONAL


@pytest.mark.parametrize("authorities", [None, "", "this is no certificate"])
def test_nobody_is_asked_when_nobody_vouches(folder, authorities):
    path = folder / "clients.pem"
    path.unlink() if authorities is None else path.write_text(authorities)
    assert tls.for_listener(context_of(folder), SUBMISSION).verify_mode is ssl.CERT_NONE
