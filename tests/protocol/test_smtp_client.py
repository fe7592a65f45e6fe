"""The SMTP client's own rules: what it writes, and how much of a peer it puts up with."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import xtext
from mta.protocol.exdata import Verdicts
from mta.protocol.smtp_client import SmtpClient, unverified_tls
from mta.protocol.smtp_commands import mail_command, orcpt, rcpt_command
from mta.protocol.smtp_stream import (
    ConnectFailed,
    GarbledReply,
    PeerGone,
    SmtpError,
    SmtpStream,
    TlsFailed,
    open_stream,
)
from tests.support.sink import Do, Sink, Tls

TIMEOUTS = {"connect": 5.0, "helo": 5.0, "command": 5.0, "data": 5.0, "quit": 1.0}


# --- commands


def test_parameters_come_in_the_customary_order() -> None:
    offered = dict.fromkeys(("DSN", "SIZE", "8BITMIME", "SMTPUTF8"), "")
    command = mail_command(
        "é@example.org", offered, size=7, eight_bit=True, smtputf8=True, ret="FULL", envid="e"
    )
    assert command == "MAIL FROM:<é@example.org> SMTPUTF8 BODY=8BITMIME RET=FULL ENVID=e SIZE=7"


def test_verp_verdicts_and_requiretls_have_their_places() -> None:
    offered = dict.fromkeys(("DSN", "SIZE", "8BITMIME", "REQUIRETLS"), "")
    command = mail_command(
        "a@example.org",
        offered,
        size=7,
        ret="HDRS",
        envid="e",
        verp=True,
        verdicts=Verdicts.EXDATA,
        requiretls=True,
    )
    assert command == (
        "MAIL FROM:<a@example.org> BODY=7BIT VERP RET=HDRS ENVID=e SIZE=7 EXDATA REQUIRETLS"
    )


def test_no_extension_no_parameter() -> None:
    assert mail_command("", {}, size=7, ret="FULL", envid="e") == "MAIL FROM:<>"
    assert rcpt_command("a@b.org", {}, notify="NEVER") == "RCPT TO:<a@b.org>"


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("plain", "plain"), ("a+b=c", "a+2Bb+3Dc"), ("sp ace", "sp+20ace"), ("ü", "+C3+BC")],
)
def test_xtext(text: str, encoded: str) -> None:
    assert xtext.encode(text) == encoded


@pytest.mark.parametrize(
    ("original", "encoded"),
    [
        ("rfc822;a+b@c.org", "rfc822;a+2Bb@c.org"),
        ("a@c.org", "rfc822;a@c.org"),
        ("rfc822;jürgen@c.org", r"utf-8;j\x{FC}rgen@c.org"),
        (r"utf-8;a\b@c.org", r"utf-8;a\x{5C}b@c.org"),
    ],
)
def test_original_recipient(original: str, encoded: str) -> None:
    assert orcpt(original) == encoded


# --- replies


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield SmtpStream(ours, lifetime=5.0), theirs


def test_a_reply_with_several_lines_and_a_status(pair) -> None:
    stream, peer = pair
    peer.sendall(b"550-5.1.1 no such\r\n550 5.1.1 user\r\n")
    reply = stream.read_reply(1)
    assert (reply.code, reply.status, reply.text) == (550, "5.1.1", "no such\nuser")


def test_replies_that_come_together_are_read_one_by_one(pair) -> None:
    stream, peer = pair
    peer.sendall(b"250 one\r\n250 two\r\n25")
    assert [stream.read_reply(1).text for _ in range(2)] == ["one", "two"]
    peer.sendall(b"0 three\n250\r\n")
    assert [stream.read_reply(1).text for _ in range(2)] == ["three", ""]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"25 x\r\n",
        b"2500 x\r\n",
        b"250x\r\n",
        b"199 x\r\n",
        b"600 x\r\n",
        b"250-x\r\n251 y\r\n",
        b"\xd9\xa2\xd9\xa5\xd9\xa0 x\r\n",
        b"250-x\r\n" * 101,
        b"250 " + b"x" * 100_000,
    ],
)
def test_what_is_no_reply_is_an_error(pair, garbage: bytes) -> None:
    stream, peer = pair
    peer.sendall(garbage)
    with pytest.raises(GarbledReply):
        stream.read_reply(1)


@given(st.binary(max_size=200))
def test_any_octets_give_a_reply_or_an_error_of_the_session(octets: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(octets)
        theirs.shutdown(socket.SHUT_WR)
        try:
            reply = SmtpStream(ours, lifetime=5.0).read_reply(5.0)
        except SmtpError:
            return
    assert 200 <= reply.code < 600
    assert reply.text.replace("\n", "").isprintable()


def test_a_long_line_is_cut(pair) -> None:
    stream, peer = pair
    peer.sendall(b"250 " + b"x" * 10_000 + b"\r\n250 next\r\n")
    assert len(stream.read_reply(1).text) <= 2048
    assert stream.read_reply(1).text == "next"


def test_silence_and_an_unfinished_reply_end_in_time(pair) -> None:
    stream, peer = pair
    peer.sendall(b"250-and th")
    with pytest.raises(PeerGone, match="in time"):
        stream.read_reply(0.05)


def test_a_reply_may_be_given_time_for_each_of_its_lines(pair) -> None:
    stream, peer = pair
    peer.sendall(b"558-250 ok\r\n" * 150 + b"558 250 ok\r\n")
    assert stream.read_reply(1, max_lines=200, per_line=True).text.count("\n") == 150


def test_a_peer_that_does_not_read_holds_nobody(pair) -> None:
    stream, _ = pair
    with pytest.raises(PeerGone, match="does not read"):
        stream.write(b"x" * 10_000_000, 0.05)


def test_the_lifetime_of_the_stream_outweighs_every_timeout() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(PeerGone):
        SmtpStream(ours, lifetime=0.05).read_reply(600)


# --- sessions


def client_for(sink: Sink) -> SmtpClient:
    client = SmtpClient(open_stream("127.0.0.1", sink.port, 5.0, 30.0), TIMEOUTS)
    assert client.greeting().code == 220
    return client


def test_extensions_of_the_last_ehlo_count() -> None:
    replies = {"EHLO": "250-hi\n250-size 1000\n250-AUTH=LOGIN PLAIN\n250 PIPELINING"}
    with Sink(replies=replies) as sink:
        client = client_for(sink)
        client.hello("me.example")
        assert client.offered == {"SIZE": "1000", "AUTH": "LOGIN PLAIN", "PIPELINING": ""}
        client.quit()


def test_helo_offers_nothing() -> None:
    with Sink(replies={"EHLO": "500 what?"}) as sink:
        client = client_for(sink)
        assert client.hello("me.example").code == 250
        assert client.offered == {}
        client.quit()


def test_a_transaction_left_unfinished_is_reset_before_the_next() -> None:
    with Sink(replies={"RCPT bad@x.org": "550 5.1.1 no"}) as sink:
        client = client_for(sink)
        client.hello("me.example")
        refused = client.transaction("MAIL FROM:<>", ["RCPT TO:<bad@x.org>"])
        assert [answer.reply.code for answer in refused.answers()] == [550]
        taken = client.transaction("MAIL FROM:<>", ["RCPT TO:<good@x.org>"])
        assert [answer.reply.code for answer in taken.answers()] == [250]
        assert [reply.code for reply in taken.content(b"x\r\n", lambda: None)] == [250]
        client.quit()
    assert sink.sessions[0].verbs.count("RSET") == 1


def test_quit_never_fails() -> None:
    with Sink(replies={"QUIT": Do.RESET}) as sink:
        client_for(sink).quit()


def test_no_connection_is_an_error_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectFailed):
        open_stream("127.0.0.1", port, 1.0, 5.0)


def test_rubbish_instead_of_a_handshake() -> None:
    with Sink(tls=Tls.BROKEN) as sink:
        client = client_for(sink)
        client.hello("me.example")
        with pytest.raises(TlsFailed):
            client.start_tls(unverified_tls(), "sink.example")
        client.close()
