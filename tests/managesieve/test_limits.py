"""How many may connect, for how long they may be silent, and how the process ends."""

import socket
from contextlib import ExitStack

import pytest

from mta.managesieve import connection, session
from tests.managesieve.conftest import BOB, PASSWORD
from tests.support.managesieve_session import Client, running_managesieve


def test_connections_in_all(connect, monkeypatch):
    monkeypatch.setattr(session, "MAX_CONNECTIONS", 2)
    first = connect()
    connect()
    turned_away = connect()
    assert turned_away.greeting.startswith("BYE (TRYLATER)")
    assert turned_away.at_end()
    assert first.command("NOOP").startswith("OK")


def test_a_stranger_who_is_silent(connect, monkeypatch):
    monkeypatch.setattr(session, "STRANGER_SECONDS", 0.05)
    client = connect()
    assert client.reply().startswith("BYE")
    assert client.at_end()


def test_a_user_who_is_silent_may_stay(connect, monkeypatch):
    client = connect()
    client.starttls()
    client.sign_in(BOB, PASSWORD)
    monkeypatch.setattr(session, "STRANGER_SECONDS", 0.0)
    client.command("NOOP")
    assert client.command("NOOP").startswith("OK")


@pytest.mark.parametrize("begun", ['PUTSCRIPT "a" {100+}\r\nkeep;', 'PUTSCRIPT "a" {5+}\r\nkeep;'])
def test_a_command_without_end(connect, monkeypatch, begun):
    monkeypatch.setattr(connection, "COMMAND_SECONDS", 0.05)
    client = connect()
    client.send(begun)
    assert client.reply().startswith("BYE")


def test_a_client_that_does_not_read(connect, monkeypatch):
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.05)
    client = connect()
    client.sock.settimeout(0.2)
    with pytest.raises(OSError):
        while True:
            client.send(b"CAPABILITY\r\n" * 10_000)


def test_the_end_of_the_process_is_told(town):
    with ExitStack() as stack:
        with running_managesieve() as port:
            idle = stack.enter_context(Client(port))
            idle.command("NOOP")
        assert idle.reply().startswith("BYE")
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port))
