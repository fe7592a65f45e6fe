"""A client that others wrote (sievelib), under TLS with a certificate that it checks."""

import socket

import pytest
from sievelib import managesieve

from mta.models import MailboxScript
from tests.managesieve.conftest import BOB, PASSWORD


@pytest.fixture
def client(port, certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "cert.pem"))
    return managesieve.Client("127.0.0.1", port, srvhostname="mail.example.test")


def test_a_whole_session(client):
    assert client.connect(BOB, PASSWORD, starttls=True, authmech="PLAIN")
    assert "fileinto" in client.get_sieve_capabilities()
    assert client.havespace("main", 100)
    assert client.checkscript("keep;")
    assert client.putscript("main", 'require "fileinto";\nfileinto "Lists";\n')
    assert client.setactive("main")
    assert client.listscripts() == ("main", [])
    assert "Lists" in client.getscript("main")
    assert client.renamescript("main", "first")
    assert MailboxScript.objects.get().active
    assert not client.deletescript("first")
    assert client.setactive("")
    assert client.deletescript("first")
    assert client.listscripts() == (None, [])
    client.logout()


def test_errors_say_where(client):
    client.connect(BOB, PASSWORD, starttls=True, authmech="PLAIN")
    assert not client.putscript("main", "keep;\nnonsense;\n")
    assert b"line 2, column 1" in client.errmsg
    client.logout()


def test_a_wrong_password(client):
    assert not client.connect(BOB, "wrong", starttls=True, authmech="PLAIN")


@pytest.mark.filterwarnings("ignore:Credentials are sent")
def test_without_tls_there_is_no_way_in(client):
    assert not client.connect(BOB, PASSWORD)


def test_a_client_that_goes_away_in_the_handshake(client, port):
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.recv(1000)
        rude.sendall(b"STARTTLS\r\n")
        rude.recv(10)
        rude.sendall(b"this is no handshake" * 10)
        while rude.recv(1000):
            pass
    assert client.connect(BOB, PASSWORD, starttls=True)
