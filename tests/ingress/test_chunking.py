"""BDAT (RFC 3030): what is stored, what is thrown away, and that nothing is held too long."""

import pytest

from mta.ingress import pace
from mta.models import Content, Message
from mta.protocol.queue_id import decode_queue_id
from tests.support.smtp_session import Client, Hangup
from tests.support.waiting import eventually

HEADER = (
    b"To: bob@example.test\r\nMime-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
)


def begin(client: Client, *recipients: str) -> None:
    recipients = recipients or ("bob@example.test",)
    client.commands("MAIL FROM:<a@b.example>", *(f"RCPT TO:<{each}>" for each in recipients))


def chunk(client: Client, octets: bytes, *, last: bool = False) -> str:
    client.send(b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" if last else b"", octets))
    return client.reply()


def stored_body(reply: str) -> bytes:
    assert reply.startswith("250 2.0.0 Ok: queued as "), reply
    message_id = decode_queue_id(reply.rpartition(" ")[2])
    return bytes(Content.objects.get(message_id=message_id).data).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", b""),
        (b"one\r\n", b"one\r\n"),
        (b"no line end", b"no line end\r\n"),
        (b".\r\n..\r\n.dot\r\n", b".\r\n..\r\n.dot\r\n"),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n.\r\nQUIT\r\n"),
        ("größer\r\n".encode(), "größer\r\n".encode()),
    ],
)
def test_the_octets_are_kept_as_they_came(ingress, body, kept):
    with ingress.connect() as client:
        begin(client)
        assert stored_body(chunk(client, HEADER + body, last=True)) == kept


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_many_chunks_are_one_message(ingress, size):
    content = HEADER + b"line\r\n" * 40
    with ingress.connect() as client:
        begin(client)
        for start in range(0, len(content), size):
            part = content[start : start + size]
            assert chunk(client, part) == f"250 2.0.0 {len(part)} octets received"
        assert stored_body(chunk(client, b"", last=True)) == b"line\r\n" * 40
    assert ingress.house.budget.used == 0


def test_a_client_may_wait_for_earlier_answers_before_it_sends_a_chunk(ingress):
    with ingress.connect() as client:
        client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.test>\r\nBDAT 6 LAST\r\n")
        assert [client.reply()[:3] for _ in range(2)] == ["250", "250"]
        client.send("\r\nhi\r\n")
        assert client.reply().startswith("250 2.0.0 Ok: queued")


@pytest.mark.parametrize("ending", [b"a\nb\r\n", b"a\rb\r\n", b"a\r", b"a\n"])
def test_lone_line_ends_are_refused_as_with_data(ingress, ending):
    with ingress.connect() as client:
        begin(client)
        assert chunk(client, HEADER + ending, last=True).startswith("550 5.6.11")
        assert client.command("NOOP").startswith("250")


def test_a_chunk_beyond_the_limit_is_read_to_its_end(ingress, change):
    change(sizelimit=2000)
    with ingress.connect() as client:
        begin(client)
        assert chunk(client, b"x" * 1500).startswith("250")
        assert chunk(client, b"RSET\r\n" * 50_000).startswith("552 5.3.4")
        assert ingress.house.budget.used == 0
        assert chunk(client, b"QUIT\r\n", last=True).startswith("503")
        begin(client)
        content = b"Subject: x\r\n\r\n" + (b"y" * 498 + b"\r\n") * 4
        assert chunk(client, content[:2000], last=True).startswith("250")


def test_without_memory_the_message_waits(ingress):
    with ingress.connect() as client:
        begin(client)
        assert ingress.house.budget.take(512 * 1024 * 1024 - 10)
        assert chunk(client, HEADER).startswith("452 4.3.1")
        ingress.house.budget.give_back(512 * 1024 * 1024 - 10)
        begin(client)
        assert chunk(client, HEADER, last=True).startswith("250")
    assert ingress.house.budget.used == 0


@pytest.mark.parametrize("size", ["9223372036854775808", "99999999999999999999"])
def test_a_huge_chunk_is_nothing_but_its_octets(ingress, size):
    """Nothing is set aside for what was only announced."""
    with ingress.connect() as client:
        begin(client)
        client.send(f"BDAT {size} LAST\r\n" + "QUIT\r\n" * 1000)
        assert eventually(lambda: ingress.house.budget.used == 6000)
    assert eventually(lambda: ingress.house.budget.used == 0)
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "argument", ["", "x", "-1", "+1", "1.0", "0x10", "1 FIRST", "1 LAST LAST", "1" * 21, "١"]
)
def test_a_size_that_cannot_be_understood_ends_the_session(ingress, argument):
    with ingress.connect() as client:
        begin(client)
        assert client.command(f"BDAT {argument}") == "501 5.5.4 syntax: BDAT octets [LAST]"
        with pytest.raises(Hangup):
            client.command("MAIL FROM:<evil@example.org>")


@pytest.mark.parametrize("end", ["RSET", "EHLO client.example.org", "QUIT"])
def test_what_was_held_is_given_back(ingress, end):
    with ingress.connect() as client:
        begin(client)
        assert chunk(client, HEADER).startswith("250")
        assert ingress.house.budget.used == len(HEADER)
        assert client.command(end)[0] == "2"
        assert eventually(lambda: ingress.house.budget.used == 0)


@pytest.mark.parametrize("said", [b"", b"BDAT 100\r\nhalf"])
def test_a_client_that_hangs_up_between_or_in_chunks_has_sent_no_message(ingress, said):
    with ingress.connect() as client:
        begin(client)
        assert chunk(client, HEADER).startswith("250")
        client.send(said)
    assert eventually(lambda: ingress.house.budget.used == 0)
    assert eventually(lambda: ingress.house.connections.total == 0)
    assert not Message.objects.exists()


@pytest.mark.parametrize("verb", ["DATA", "BDAT 100000 LAST"])
def test_who_sends_drop_by_drop_is_not_waited_for(ingress, change, monkeypatch, verb):
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.2)
    change(mindatarate=1_000_000)
    with ingress.connect() as client:
        begin(client)
        client.send(f"{verb}\r\n")
        if verb == "DATA":
            assert client.reply().startswith("354")
        client.send("Subject: slow\r\n")
        assert client.reply() == "421 4.4.2 timed out"
        assert client.at_end()
    assert eventually(lambda: ingress.house.budget.used == 0)
