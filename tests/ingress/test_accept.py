"""What stands in the database when the client has read its 250."""

import hashlib
import re
from datetime import timedelta

import pytest

from mta.models import Content, Event, Message, Recipient, Refusal, State
from mta.protocol.queue_id import decode_queue_id
from tests.ingress.conftest import PASSWORD
from tests.support.waiting import eventually

# A message that lacks nothing, so that nothing is added.
HELLO = (
    b"From: <alice@example.org>\r\nTo: <bob@example.test>\r\nMessage-ID: <1@example.org>\r\n"
    b"Subject: hello\r\nMime-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nh\xc3\xad\r\n"
)
MIME_8BIT = (
    b"Mime-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
)


def content_of(reply: str) -> bytes:
    """The stored content of the message that was just queued."""
    assert reply.startswith("250 2.0.0 Ok: queued as "), reply
    message_id = decode_queue_id(reply.rpartition(" ")[2])
    return bytes(Content.objects.get(message_id=message_id).data)


def test_message_recipients_content_and_history_are_stored(ingress):
    with ingress.connect() as client:
        stored = content_of(client.mail("bob@example.test", content=HELLO))

    message = Message.objects.get()
    assert message.reverse_path == "a@b.example"
    assert (message.source, message.client_ip, message.helo) == (
        "esmtp",
        "127.0.0.1",
        "client.example.org",
    )
    assert (message.subject, message.header_message_id) == ("hello", "<1@example.org>")
    assert (message.pending, message.finished_at, message.size) == (1, None, len(stored))
    assert stored.endswith(HELLO)

    recipient = Recipient.objects.get()
    assert (recipient.address, recipient.state) == ("bob@example.test", State.QUEUED)
    assert (recipient.transport, recipient.nexthop) == ("local", "")
    assert recipient.expires_at - message.created_at == timedelta(days=5)
    assert recipient.warn_at - message.created_at == timedelta(hours=4)

    accepted = Event.objects.get()
    assert accepted.kind == "accepted"
    assert [decision["stage"] for decision in accepted.data["decisions"]] == [
        "connect",
        "helo",
        "mail",
        "rcpt",
        "content",
    ]
    assert accepted.data["sha256"] == hashlib.sha256(HELLO).hexdigest()


def test_mail_without_sender_lives_shorter_and_is_never_warned_about(ingress):
    with ingress.connect() as client:
        assert client.mail("bob@example.test", sender="").startswith("250")
    recipient = Recipient.objects.get()
    assert recipient.expires_at - recipient.message.created_at == timedelta(days=2)
    assert recipient.warn_at is None


def test_received_says_how_the_message_came(ingress):
    received = rb"""Received: from client\.example\.org \(\[127\.0\.0\.1\]\)
    by mail\.example\.test \(CourierWeb\) with %s
    id [0-9a-z]{13}
    for <bob@example\.test>; \w{3}, .* \+0000
""".replace(b"\n", b"\r\n")
    with ingress.connect() as client:
        assert re.match(received % b"ESMTP", content_of(client.mail("bob@example.test")))
        client.command("HELO client.example.org")
        assert re.match(received % b"SMTP", content_of(client.mail("bob@example.test")))


def test_received_names_tls_and_user_but_no_hidden_recipients(ingress):
    with ingress.connect("submission") as client:
        client.starttls()
        client.command("EHLO [IPv6:2001:db8::1]")
        client.login("bob@example.test", PASSWORD)
        stored = content_of(
            client.mail("ann@example.test", "carl@example.test", sender="bob@example.test")
        )
    header = stored[: stored.index(b"Subject:")].decode()
    assert header.startswith("Received: from [IPv6:2001:db8::1] ([127.0.0.1])\r\n")
    assert re.search(r"\(TLS: TLSv1\.[23] [A-Z0-9_-]+, AUTH: bob@example\.test\)\r\n", header)
    assert " with ESMTPSA\r\n" in header
    assert "ann@" not in header and "carl@" not in header
    assert Message.objects.get().source == "submission"


def test_a_return_path_that_came_in_is_renamed(ingress):
    content = b"Return-path: <x@y.example>\r\nSubject: x\r\n\r\nReturn-Path: in the body\r\n"
    with ingress.connect() as client:
        stored = content_of(client.mail("bob@example.test", content=content))
    assert b"\r\nOld-Return-Path: <x@y.example>\r\n" in stored
    assert stored.endswith(b"\r\n\r\nReturn-Path: in the body\r\n")


def test_an_alias_is_replaced_and_remembered_as_original_recipient(ingress):
    with ingress.connect() as client:
        client.mail("Sales@Example.TEST")
    recipient = Recipient.objects.get()
    assert recipient.address == "bob@example.test"
    assert recipient.original_recipient == "rfc822;Sales@example.test"


def rows() -> list[tuple[str, str, str]]:
    return list(Recipient.objects.order_by("id").values_list("address", "state", "notify"))


def test_lists_are_expanded_once_each(ingress):
    with ingress.connect() as client:
        client.mail("team@example.test", "all@example.test", "team@example.test")
    assert rows() == [
        ("ann@example.test", "queued", "NEVER"),
        ("bob@example.test", "queued", "NEVER"),
        ("carl@example.test", "queued", "NEVER"),
        ("team@example.test", "expanded", ""),
        ("all@example.test", "expanded", ""),
    ]
    assert Message.objects.get().pending == 3


def test_a_direct_recipient_wins_over_a_list_member(ingress):
    with ingress.connect() as client:
        client.mail("team@example.test", "bob@example.test", "bob@example.test")
    assert rows() == [
        ("bob@example.test", "queued", ""),
        ("ann@example.test", "queued", "NEVER"),
        ("team@example.test", "expanded", ""),
    ]


def test_dsn_parameters_are_kept(ingress):
    with ingress.connect() as client:
        client.command("MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ+2B1")
        client.command(
            "RCPT TO:<bob@example.test> NOTIFY=success,FAILURE ORCPT=rfc822;b+2Bx@q.example"
        )
        client.command("RCPT TO:<ann@example.test> NOTIFY=NEVER")
        client.command("DATA")
        client.command(".")
    message = Message.objects.get()
    assert (message.ret, message.envid) == ("HDRS", "QQ+1")
    assert [(row.notify, row.original_recipient) for row in Recipient.objects.order_by("id")] == [
        ("SUCCESS,FAILURE", "rfc822;b+x@q.example"),
        ("NEVER", ""),
    ]


def test_smtputf8(ingress):
    content = "Subject: Grüße\r\n".encode() + MIME_8BIT + "\r\nß\r\n".encode()
    with ingress.connect() as client:
        assert client.mail("bob@example.test", content=content).startswith("550 5.6.0 ")
        replies = client.commands(
            "MAIL FROM:<älice@bücher.example> SMTPUTF8 BODY=8BITMIME",
            "RCPT TO:<bob@example.test>",
            "DATA",
        )
        assert [reply[:3] for reply in replies] == ["250", "250", "354"]
        client.send(content + b".\r\n")
        stored = content_of(client.reply())
    message = Message.objects.get()
    assert message.reverse_path == "älice@xn--bcher-kva.example"
    assert (message.smtputf8, message.eight_bit, message.subject) == (True, True, "Grüße")
    assert b" with UTF8SMTP\r\n" in stored


def test_eight_bit_body_is_kept_as_it_came(ingress):
    content = b"To: bob@example.test\r\n" + MIME_8BIT + b"\r\n\xe4\xf6\xfc \x00 \xff\r\n"
    with ingress.connect() as client:
        assert content_of(client.mail("bob@example.test", content=content)).endswith(content)
    assert Message.objects.get().eight_bit


@pytest.mark.parametrize(
    "content",
    [b"", b"\r\n", b"no header\r\n", b"Subject: header only\r\n", b"\r\nbody only\r\n"],
)
def test_odd_messages_are_mail_all_the_same(ingress, content):
    with ingress.connect() as client:
        stored = content_of(client.mail("bob@example.test", content=content))
    header, _, body = content.partition(b"\r\n\r\n")
    assert header.strip() in stored and stored.endswith(body)


@pytest.mark.parametrize(("hops", "reply"), [(50, "250 "), (51, "554 5.4.6 mail loop")])
def test_a_mail_loop_ends_at_51_hops(ingress, hops, reply):
    content = b"Received: from x\r\n by y\r\n" * hops + b"Subject: round\r\n\r\n"
    with ingress.connect() as client:
        assert client.mail("bob@example.test", content=content).startswith(reply)


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"Subject: x\r\n\r\na\nb\r\n", "550 5.6.11"),
        (b"Subject: x\r\n\r\na\rb\r\n", "550 5.6.11"),
        (b"Subject: x\r\n\r\n" + b"x" * 70_000 + b"\r\n", "500 5.6.0"),
        (b"X: y\r\n" * 25_000 + b"\r\n", "552 5.3.4 the header is too big"),
    ],
)
def test_content_that_is_refused(ingress, content, reply):
    with ingress.connect() as client:
        assert client.mail("bob@example.test", content=content).startswith(reply)
        assert client.mail("bob@example.test").startswith("250")
    assert Message.objects.count() == 1
    refusal = eventually(lambda: Refusal.objects.first())
    assert (refusal.stage, refusal.recipient) == ("content", "bob@example.test")


def test_a_submission_server_mends_line_ends(ingress):
    with ingress.connect("smtps") as client:
        client.login("bob@example.test", PASSWORD)
        content = b"Subject: x\n\na\rb\nc\r\n"
        stored = content_of(
            client.mail("ann@example.test", content=content, sender="bob@example.test")
        )
    assert stored.endswith(b"\r\n\r\na\r\nb\r\nc\r\n")


def test_five_megabytes(ingress):
    body = (b"x" * 998 + b"\r\n") * 5001
    with ingress.connect() as client:
        reply = client.mail("bob@example.test", content=b"Subject: big\r\n\r\n" + body)
        assert content_of(reply).endswith(b"\r\n\r\n" + body)
    assert ingress.house.budget.used == 0
