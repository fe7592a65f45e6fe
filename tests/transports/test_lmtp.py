"""The lmtp transport: a verdict for each recipient, and whatever a scripted server does wrong."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mta.transports.base import QueuedMessage, Result
from mta.transports.lmtp import Lmtp
from tests.support.dns import DnsServer
from tests.support.sink import ALL_EXTENSIONS, Do, Sink, Tls
from tests.transports.esmtp_delivery import (
    EIGHT_BIT,
    NO_PIPELINING,
    SENDER,
    SHORT,
    TEXT,
    Delivery,
    both_ways,
    message,
)

ANN, BOB, CARL = "ann@example.org", "bob@example.org", "carl@example.org"


def nexthop(sink: Sink) -> str:
    return f"lmtp:[{sink.host}]:{sink.port}"


def deliver(sink: Sink, *messages: QueuedMessage, **options: Any) -> Delivery:
    return Delivery(nexthop(sink), *messages, transport=Lmtp(), **options)


@pytest.fixture
def socket_path() -> Iterator[str]:
    """The name of a socket is short, and pytest's own directories are not."""
    with tempfile.TemporaryDirectory(prefix="lmtp-") as folder:
        yield f"{folder}/socket"


@both_ways
def test_each_recipient_has_a_verdict(extensions: tuple[str, ...]) -> None:
    replies: dict[str, Any] = {
        f"RCPT {BOB}": "550 5.1.1 no such user",
        f". {CARL}": "452 4.2.2 mailbox full",
        ". dora@example.org": "552 5.2.2 mailbox full for good",
    }
    with Sink(replies, lmtp=True, extensions=extensions) as sink:
        delivery = deliver(sink, message(1, ANN, BOB, CARL, "dora@example.org"))
    assert delivery.replies == ["250 2.0.0", "550 5.1.1", "452 4.2.2", "552 5.2.2"]
    assert delivery.results == [Result.SENT, Result.BOUNCED, Result.DEFERRED, Result.BOUNCED]
    assert delivery.committed == [1000, 1002, 1003]
    assert sink.recipients == [ANN]
    assert sink.messages[0].content == TEXT
    assert sink.sessions[0].verbs[0] == "LHLO"
    assert sink.sessions[0].verbs.count("DATA") == 1


def test_the_server_is_told_the_sender_and_no_wishes_for_reports() -> None:
    mail = message(1, ANN, ret="FULL", envid="E1")
    with Sink(lmtp=True) as sink:
        delivery = deliver(sink, mail)
    (taken,) = sink.messages
    assert taken.reverse_path == SENDER
    assert taken.mail_parameters == f"BODY=7BIT SIZE={len(TEXT)}"
    assert taken.recipient_parameters == {ANN: ""}
    # What was delivered is reported by us, and not as handed on.
    assert delivery.only.final


def test_a_return_path_made_for_other_hosts_stays_out_of_the_mailbox() -> None:
    mail = message(1, ANN)
    forwarded = type(mail.recipients[0])(7, ANN, notify="NEVER", return_path="srs0=x@example.test")
    with Sink(lmtp=True) as sink:
        deliver(sink, QueuedMessage(1, "q1", SENDER, len(TEXT), 0.0, (forwarded,)))
    assert sink.messages[0].reverse_path == SENDER


def test_verp_names_each_recipient() -> None:
    with Sink(lmtp=True) as sink:
        deliver(sink, message(1, ANN, BOB, verp=True))
    assert [each.reverse_path for each in sink.messages] == [
        "sender-ann=example.org@example.com",
        "sender-bob=example.org@example.com",
    ]


def test_one_session_takes_what_waits_for_the_server() -> None:
    with Sink(lmtp=True) as sink:
        delivery = deliver(sink, message(1, ANN), message(2, BOB), more=(message(3, CARL),))
    assert delivery.results == [Result.SENT] * 3
    assert len(sink.sessions) == 1
    assert sink.recipients == [ANN, BOB, CARL]


def test_a_message_for_nobody_is_not_sent() -> None:
    with Sink({"RCPT": "550 5.1.1 no such user"}, lmtp=True) as sink:
        delivery = deliver(sink, message(1, ANN, BOB), message(2, CARL))
    assert delivery.replies == ["550 5.1.1"] * 3
    assert sink.messages == []
    assert len(sink.sessions) == 1


def test_a_server_that_wants_the_data_for_nobody_gets_none() -> None:
    replies = {f"RCPT {ANN}": "550 5.1.1 no such user", "DATA": "354 go ahead, why not"}
    with Sink(replies, lmtp=True) as sink:
        delivery = deliver(sink, message(1, ANN), message(2, BOB), timeouts=SHORT)
    assert delivery.replies == ["550 5.1.1", "250 2.0.0"]
    assert sink.recipients == [BOB]


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Do.CLOSE, "451 4.4.2"),
        (Do.RESET, "451 4.4.2"),
        (Do.HANG, "451 4.4.2"),
        (("250 2.0.0 half of a re", Do.CLOSE), "250 2.0.0"),
        ((b"250 2.0.0 half of a re", Do.CLOSE), "451 4.4.2"),
        ("gibberish", "451 4.5.0"),
        ("354 more?", "451 4.5.0"),
    ],
    ids=str,
)
def test_replies_that_came_hold_when_the_others_do_not_come(step: Any, status: str) -> None:
    replies: dict[str, Any] = {f". {ANN}": "250 2.0.0 saved", f". {BOB}": step}
    with Sink(replies, lmtp=True) as sink:
        delivery = deliver(sink, message(1, ANN, BOB, CARL), timeouts=SHORT)
    assert delivery.replies[:2] == ["250 2.0.0", status]
    assert delivery.results[2] is Result.DEFERRED
    assert delivery.committed == [1000, 1001, 1002]
    assert "after the final dot" in delivery.by_id[1002].reply.text


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        ({"BANNER": "554 5.7.1 not you"}, "451 4.3.5"),
        ({"BANNER": "421 4.3.2 too busy"}, "451 4.3.5"),
        ({"BANNER": Do.HANG}, "451 4.4.2"),
        ({"BANNER": Do.CLOSE}, "451 4.4.2"),
        ({"BANNER": b"SSH-2.0-OpenSSH_9.6\r\n"}, "451 4.5.0"),
        ({"LHLO": "500 5.5.1 no such command"}, "451 4.3.5"),
        ({"LHLO": "421 4.3.2 closing"}, "451 4.3.5"),
        ({"LHLO": Do.HANG}, "451 4.4.2"),
        ({"MAIL": "451 4.3.0 later"}, "451 4.3.0"),
        ({"MAIL": "550 5.7.1 no"}, "550 5.7.1"),
        ({"MAIL": "530 5.7.0 sign in first"}, "454 4.7.0"),
        ({"MAIL": "354 what"}, "451 4.5.0"),
        ({"MAIL": Do.RESET}, "451 4.4.2"),
        ({"RCPT": "450 4.2.1 later"}, "450 4.2.1"),
        ({"RCPT": "nonsense"}, "451 4.5.0"),
        ({"RCPT": Do.HANG}, "451 4.4.2"),
        ({"DATA": "451 4.3.0 later"}, "451 4.3.0"),
        ({"DATA": "554 5.6.0 never"}, "554 5.6.0"),
        ({"DATA": "250 fine"}, "451 4.5.0"),
        ({"DATA": ("354 go", Do.RESET)}, "451 4.4.2"),
        ({"QUIT": Do.HANG}, "250 2.0.0"),
    ],
    ids=str,
)
def test_trouble_at_any_stage_is_an_outcome(replies: dict[str, Any], status: str) -> None:
    with Sink(replies, lmtp=True) as sink:
        delivery = deliver(sink, message(1, ANN, BOB), timeouts=SHORT)
    assert delivery.replies == [status] * 2


def test_a_server_of_plain_smtp_gets_no_mail_and_the_mail_waits() -> None:
    with Sink() as sink:
        delivery = deliver(sink, message(1, ANN), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]
    assert delivery.only.unreachable
    assert "no LMTP session: 500" in delivery.only.reply.text


def test_eight_bit_content_goes_as_it_is() -> None:
    """Raw characters in a header, too, to which a mailbox is the end."""
    content = b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n" + EIGHT_BIT
    extensions = ("PIPELINING", "8BITMIME")
    with Sink(lmtp=True, extensions=extensions) as sink:
        deliver(sink, message(1, ANN), content=content)
    assert sink.messages[0].content == content
    assert "BODY=8BITMIME" in sink.messages[0].mail_parameters


@pytest.mark.parametrize("extensions", [ALL_EXTENSIONS, ("8BITMIME",)], ids=["smtputf8", "without"])
def test_an_international_recipient_needs_smtputf8(extensions: tuple[str, ...]) -> None:
    with Sink(lmtp=True, extensions=extensions) as sink:
        delivery = deliver(sink, message(1, "jürgen@example.org", BOB))
    able = "SMTPUTF8" in extensions
    assert delivery.replies == ["250 2.0.0" if able else "553 5.6.7", "250 2.0.0"]


def test_extensions_that_only_smtp_has_a_use_for_are_left_alone() -> None:
    """CHUNKING and PRDR answer the end of the data in ways of their own."""
    big = TEXT + b"A line of the message.\r\n" * 20_000
    with Sink(lmtp=True, extensions=(*NO_PIPELINING, "CHUNKING", "PRDR", "XEXDATA")) as sink:
        delivery = deliver(sink, message(1, ANN, BOB), content=big)
    assert delivery.results == [Result.SENT] * 2
    assert "DATA" in sink.sessions[0].verbs
    assert "PRDR" not in sink.messages[0].mail_parameters


class TestTls:
    def test_on_loopback_it_is_left_out(self) -> None:
        with Sink(lmtp=True, tls=Tls.STARTTLS) as sink:
            delivery = deliver(sink, message(1, ANN))
        assert sink.messages[0].tls == ""
        assert delivery.only.tls == ""

    def test_elsewhere_it_is_used_when_offered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mta.transports.lmtp._is_here", lambda target: False)
        with Sink(lmtp=True, tls=Tls.STARTTLS) as sink:
            delivery = deliver(sink, message(1, ANN))
        assert sink.messages[0].tls.startswith("TLS")
        assert delivery.only.tls.startswith("TLS")
        assert sink.sessions[0].verbs.count("LHLO") == 2

    def test_elsewhere_a_broken_handshake_does_not_keep_the_mail(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mta.transports.lmtp._is_here", lambda target: False)
        with Sink(lmtp=True, tls=Tls.BROKEN) as sink:
            delivery = deliver(sink, message(1, ANN), timeouts=SHORT)
        assert delivery.results == [Result.SENT]
        assert delivery.only.tls.startswith("failed")

    def test_requiretls_is_kept_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mta.transports.lmtp._is_here", lambda target: False)
        with Sink(lmtp=True) as sink:
            delivery = deliver(sink, message(1, ANN, requiretls=True), message(2, BOB))
        assert delivery.replies == ["550 5.7.30", "250 2.0.0"]

    def test_requiretls_has_nothing_to_say_on_this_machine(self) -> None:
        with Sink(lmtp=True) as sink:
            more = (message(2, BOB, requiretls=True),)
            delivery = deliver(sink, message(1, ANN, requiretls=True), more=more)
        assert delivery.results == [Result.SENT] * 2


class TestPlaces:
    def test_a_socket_in_the_file_system(self, socket_path: str) -> None:
        with Sink({f". {BOB}": "552 5.2.2 full"}, lmtp=True, path=socket_path) as sink:
            delivery = Delivery(f"lmtp:{socket_path}", message(1, ANN, BOB), transport=Lmtp())
        assert delivery.replies == ["250 2.0.0", "552 5.2.2"]
        assert sink.recipients == [ANN]
        # Reports name this host; where its sockets lie is nobody's business.
        assert delivery.by_id[1001].remote == "mail.example.test"

    def test_a_socket_that_is_not_there(self, tmp_path: Path) -> None:
        delivery = Delivery(f"lmtp:{tmp_path}/none", message(1, ANN), transport=Lmtp())
        assert delivery.replies == ["451 4.4.1"]
        assert delivery.only.unreachable
        assert str(tmp_path) not in delivery.only.reply.text

    def test_a_socket_that_nobody_answers_at(self, tmp_path: Path) -> None:
        (tmp_path / "s").touch()
        delivery = Delivery(f"lmtp:{tmp_path}/s", message(1, ANN), transport=Lmtp())
        assert delivery.replies == ["451 4.4.1"]

    def test_a_name_of_the_dns_but_not_its_mx(self) -> None:
        zone = {
            "mailbox.test": {"A": ["127.0.0.1"], "MX": ["10 elsewhere.test"]},
            "elsewhere.test": {"A": ["127.0.0.9"]},
        }
        with Sink(lmtp=True) as sink, DnsServer(zone) as dns:
            hop = f"lmtp:mailbox.test:{sink.port}"
            delivery = Delivery(hop, message(1, ANN), transport=Lmtp(), dns=dns.address)
        assert delivery.results == [Result.SENT]
        assert delivery.only.remote == "mailbox.test [127.0.0.1]"

    @pytest.mark.parametrize("host", ["none.test", "textonly.test"])
    def test_a_name_without_an_address_keeps_the_mail_waiting(self, host: str) -> None:
        with DnsServer({"textonly.test": {"TXT": ['"x"']}}) as dns:
            hop = f"lmtp:{host}:24"
            delivery = Delivery(hop, message(1, ANN), transport=Lmtp(), dns=dns.address)
        assert delivery.replies == ["451 4.4.4"]
        assert delivery.only.unreachable

    def test_localhost_is_both_its_addresses(self) -> None:
        with Sink(lmtp=True) as sink:
            delivery = Delivery(f"lmtp:localhost:{sink.port}", message(1, ANN), transport=Lmtp())
        assert delivery.results == [Result.SENT]

    @pytest.mark.parametrize("word", ["lmtp:", "lmtp::24", "lmtp:host:0", "lmtp:host:x"])
    def test_a_word_that_is_no_place(self, word: str) -> None:
        with pytest.raises(ValueError, match="not the place"):
            Delivery(word, message(1, ANN), transport=Lmtp())
