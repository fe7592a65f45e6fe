"""Milters and Courier's filters as a client meets them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from mta.models import Content, Message, Recipient, SiteFilter
from tests.support.fake_courierfilter import FakeFilter
from tests.support.fake_milter import FakeMilter
from tests.support.smtp_session import Client, Ingress

ANN, BOB = "ann@example.test", "bob@example.test"
BODY = b"Subject: hello\r\n\r\nworld\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def listening(ingress: Ingress, path: Path, serve: Serve) -> Iterator[None]:
    """In the loop of the ingress, on a UNIX socket."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = ingress.run(asyncio.start_unix_server(connected, path))
    try:
        yield
    finally:

        async def close() -> None:
            server.close()

        ingress.run(close())


def milter_row(path: Path, **values: object) -> SiteFilter:
    return SiteFilter.objects.create(
        **{
            "name": "theirs",
            "kind": "milter",
            "state": "enforce",
            "options": {"socket": f"unix:{path}"},
            **values,
        }
    )


def sent(client: Client, *recipients: str) -> str:
    """The reply to the end of DATA, or the first one that is no acceptance."""
    commands = ["MAIL FROM:<alice@example.org>", *(f"RCPT TO:<{each}>" for each in recipients)]
    for command in [*commands, "DATA"]:
        reply = client.command(command)
        if reply[0] not in "23":
            return reply
    client.send(BODY + b".\r\n")
    return client.reply()


def test_a_milter_changes_the_message_that_is_queued(ingress: Ingress, tmp_path: Path) -> None:
    path = tmp_path / "milter"
    milter_row(path)
    changes = [b"i\0\0\0\x01X-Checked\0 yes\0", b"bnew world\n", b"a"]
    fake = FakeMilter(steps=0x100000, answers={b"E": changes})
    with listening(ingress, path, fake.serve), ingress.connect() as client:
        reply = sent(client, ANN)
    assert reply.startswith("250 2.0.0 Ok: queued as")
    assert fake.macros(b"E")["i"] == reply.rpartition(" ")[2]
    content = bytes(Content.objects.get().data)
    assert content.startswith(b"Received: from client.example.org ")
    assert b"\r\nX-Checked: yes\r\nSubject: hello\r\n" in content
    assert content.endswith(b"\r\n\r\nnew world\r\n")


def test_a_milter_refuses_in_its_own_words(ingress: Ingress, tmp_path: Path) -> None:
    path = tmp_path / "milter"
    milter_row(path)
    fake = FakeMilter(answers={b"E": [b"y550 5.7.1 100%% spam\0"]})
    with listening(ingress, path, fake.serve), ingress.connect() as client:
        assert sent(client, ANN) == "550 5.7.1 100% spam"
        assert client.command("NOOP").startswith("250")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("stage", "answers", "refused"),
    [
        ("connect", {b"C": [b"t"]}, "connect"),
        ("sender", {b"M": [b"y550 5.7.1 Not you\0"]}, "MAIL"),
        ("recipient", {b"R<bob@example.test>\0": [b"y550 5.1.1 Not him\0"]}, "RCPT"),
    ],
)
def test_before_the_content(
    ingress: Ingress, tmp_path: Path, stage: str, answers: dict[bytes, list[bytes]], refused: str
) -> None:
    path = tmp_path / "milter"
    milter_row(path, stage=stage)
    milter = listening(ingress, path, FakeMilter(answers=answers).serve)
    with milter, ingress.connect(greet=False) as client:
        banner = client.reply()
        assert banner.startswith("451" if refused == "connect" else "220")
        if refused == "connect":
            return
        client.command("EHLO client.example.org")
        mail = client.command("MAIL FROM:<alice@example.org>")
        assert mail.startswith("550 5.7.1 Not you" if refused == "MAIL" else "250")
        if refused == "RCPT":
            assert client.command(f"RCPT TO:<{ANN}>").startswith("250")
            assert client.command(f"RCPT TO:<{BOB}>") == "550 5.1.1 Not him"


def test_quarantine_holds_the_mail(ingress: Ingress, tmp_path: Path) -> None:
    path = tmp_path / "milter"
    milter_row(path)
    fake = FakeMilter(answers={b"E": [b"qsmells\0", b"c"]})
    with listening(ingress, path, fake.serve), ingress.connect() as client:
        assert sent(client, ANN).startswith("250")
    recipient = Recipient.objects.get()
    assert recipient.state == "held"
    assert "smells" in recipient.last_reply


def test_a_milter_that_hangs_is_not_waited_for(ingress: Ingress, tmp_path: Path) -> None:
    path = tmp_path / "milter"
    milter_row(path, timeout=timedelta(seconds=1))

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with listening(ingress, path, hang), ingress.connect() as client:
        assert sent(client, ANN).startswith("451 4.7.1")
        assert client.command("NOOP").startswith("250")


def test_a_filter_of_courier_refuses(ingress: Ingress, tmp_path: Path) -> None:
    sockets, files = tmp_path / "allfilters", tmp_path / "files"
    sockets.mkdir()
    files.mkdir()
    SiteFilter.objects.create(
        name="couriers",
        kind="courierfilter",
        state="enforce",
        options={"sockets": str(sockets), "directory": str(files)},
    )
    fake = FakeFilter(b"550-No\n550 never\n")
    with listening(ingress, sockets / "a", fake.serve), ingress.connect() as client:
        assert sent(client, ANN, BOB) == "550-No\n550 never"
        fake.answer = b"200 Ok\n"
        assert sent(client, ANN, BOB).startswith("250")
    assert fake.files["C1"].decode().splitlines()[0] == "salice@example.org"
    assert not list(files.iterdir())
