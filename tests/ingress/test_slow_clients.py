"""Clients that wait, stall or never read: each costs one connection, and not for long."""

from collections.abc import Iterator

import pytest

from mta.ingress import server
from mta.models import Message
from tests.support.smtp_session import Client, Ingress, running_ingress
from tests.support.waiting import eventually

TIMED_OUT = "421 4.4.2 timed out"


@pytest.fixture
def impatient(town, monkeypatch) -> Iterator[Ingress]:
    monkeypatch.setattr(server, "COMMAND_SECONDS", 0.5)
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.1)
    with running_ingress() as running:
        yield running


def is_free(ingress: Ingress) -> bool:
    return ingress.house.connections.total == 0


def test_an_idle_client_is_told_and_let_go(impatient):
    with impatient.connect() as client:
        assert client.reply() == TIMED_OUT
        assert client.at_end()
    assert eventually(lambda: is_free(impatient))


def test_half_a_command_is_no_command(impatient):
    with impatient.connect() as client:
        client.send("NOO")
        assert client.reply() == TIMED_OUT


def test_a_client_that_stalls_in_data_is_let_go_and_nothing_is_queued(impatient):
    with impatient.connect() as client:
        client.commands("MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.test>", "DATA")
        client.send("Subject: half\r\n\r\n")
        assert client.reply() == TIMED_OUT
        assert client.at_end()
    assert eventually(lambda: is_free(impatient))
    assert eventually(lambda: impatient.house.budget.used == 0)
    assert not Message.objects.exists()


def flood(client: Client) -> None:
    """Ask and ask, and read no answer, until the server takes nothing more."""
    client.sock.settimeout(0.3)
    try:
        while True:
            client.sock.send(b"HELP\r\n" * 10_000)
    except TimeoutError:
        pass


def test_a_client_that_never_reads_does_not_keep_its_place(impatient):
    with impatient.connect() as client:
        flood(client)
        assert eventually(lambda: is_free(impatient))


def test_a_flood_of_commands_does_not_keep_others_waiting(ingress):
    """One packet after the other of pipelined commands, while another session says a few words."""
    with ingress.connect() as flood, ingress.connect() as other:
        flood.sock.settimeout(30)
        flood.send(b"NOOP\r\n" * 20_000)
        for _ in range(20):
            assert other.command("NOOP").startswith("250")
        for _ in range(20_000):
            assert flood.reply().startswith("250")
