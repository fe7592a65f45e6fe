"""What a peer sees of us and what we make of its replies: the esmtp transport against a sink."""

import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from mta.protocol.mx import is_never_local
from mta.transports.base import (
    DeliveryContext,
    DeliveryRequest,
    Outcome,
    QueuedMessage,
    QueuedRecipient,
    Result,
)
from mta.transports.esmtp import Esmtp
from tests.support.dns import DnsServer, Trouble
from tests.support.sink import ALL_EXTENSIONS, Do, Sink, SinkSession, Tls

SENDER = "sender@example.com"
TEXT = b"Subject: hello\r\n\r\nA line.\r\n.\r\n..dots\r\nThe end.\r\n"
SHORT = {"connect": 2.0, "helo": 0.3, "command": 0.3, "data": 0.3, "quit": 0.3}
PLENTY = {"connect": 5.0, "helo": 10.0, "command": 10.0, "data": 10.0, "quit": 2.0}
NO_PIPELINING = tuple(word for word in ALL_EXTENSIONS if word != "PIPELINING")

both_ways = pytest.mark.parametrize(
    "extensions", [ALL_EXTENSIONS, NO_PIPELINING], ids=["pipelined", "lockstep"]
)


def message(number: int, *addresses: str, **fields: object) -> QueuedMessage:
    """Recipient ids are number * 1000 and up."""
    recipients = tuple(
        QueuedRecipient(number * 1000 + index, address) for index, address in enumerate(addresses)
    )
    plain = QueuedMessage(number, f"q{number}", SENDER, len(TEXT), 0.0, recipients)
    return replace(plain, **fields)  # type: ignore[arg-type]


class Delivery:
    """One run of the transport and all that came of it."""

    def __init__(
        self,
        nexthop: str,
        *messages: QueuedMessage,
        content: bytes | dict[int, bytes] = TEXT,
        timeouts: dict[str, float] | None = None,
        dns: str = "",
        transport: Esmtp | None = None,
        stop_after: int = 10**6,
    ) -> None:
        self.committed: list[int] = []
        self.outcomes: list[Outcome] = []
        context = DeliveryContext(
            hostname="mail.example.test",
            mail_root=Path("unused"),
            content=lambda id: content[id] if isinstance(content, dict) else content,
            committing=self._committing,
            stopping=lambda: len(self.outcomes) >= stop_after,
            dns=dns,
            timeouts=timeouts or PLENTY,
        )
        request = DeliveryRequest("esmtp", nexthop, messages)
        for outcome in (transport or Esmtp()).deliver(request, context):
            self.outcomes.append(outcome)
        self.by_id = {outcome.recipient_id: outcome for outcome in self.outcomes}
        assert len(self.by_id) == len(self.outcomes), "a recipient was reported twice"

    def _committing(self, ids: Iterable[int]) -> None:
        self.committed += ids

    @property
    def results(self) -> list[Result]:
        return [outcome.result for outcome in sorted(self.outcomes, key=lambda o: o.recipient_id)]

    @property
    def replies(self) -> list[str]:
        ordered = sorted(self.outcomes, key=lambda o: o.recipient_id)
        return [f"{outcome.reply.code} {outcome.reply.status}" for outcome in ordered]

    @property
    def only(self) -> Outcome:
        (outcome,) = self.outcomes
        return outcome


class Book:
    def __init__(self, nexthop: str) -> None:
        self._nexthop = nexthop

    def is_mailbox(self, address: str) -> bool:
        return False

    def nexthop(self, address: str) -> str:
        return self._nexthop


@pytest.mark.parametrize(
    ("nexthop", "claimed"),
    [
        ("mx:example.org", "mx:example.org"),
        ("relay:[192.0.2.1]:25", "relay:[192.0.2.1]:25"),
        ("discard:", None),
        ("", None),
    ],
)
def test_it_claims_what_goes_to_other_hosts(nexthop: str, claimed: str | None) -> None:
    assert Esmtp().claim("ann@example.org", Book(nexthop)) == claimed


@pytest.mark.parametrize(
    "word", ["", "mx:", "relay:host", "relay::25", "relay:h:0", "relay:h:25/X"]
)
def test_a_malformed_next_hop_is_an_error_of_ours(word: str) -> None:
    with pytest.raises(ValueError, match="next hop|security"):
        Delivery(word, message(1, "ann@example.org"))


# --- transactions


@both_ways
def test_a_message_arrives_as_it_is(extensions: tuple[str, ...]) -> None:
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    (taken,) = sink.messages
    assert taken.content == TEXT
    assert taken.reverse_path == SENDER
    assert taken.recipients == ["ann@example.org", "bob@example.org"]
    assert delivery.results == [Result.SENT, Result.SENT]
    assert delivery.committed == [1000, 1001]
    assert sink.sessions[0].verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]


def test_an_outcome_names_reply_peer_and_command() -> None:
    with Sink(replies={"RCPT bob@example.org": "550 5.1.1 no bob here"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    sent, bounced = delivery.by_id[1000], delivery.by_id[1001]
    assert (sent.command, str(sent.reply)) == ("DATA", "250 2.0.0 queued as SINK")
    assert str(bounced.reply) == "550 5.1.1 no bob here"
    assert bounced.command.startswith("RCPT TO:<bob@example.org>")
    assert sent.remote == bounced.remote == "[127.0.0.1]"
    assert (sent.tls, sent.final) == ("", True)


def test_envelope_and_data_leave_in_one_write_to_a_peer_with_pipelining() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    assert [command.split()[0] for command in sink.sessions[0].pipelined] == [
        "RCPT",
        "RCPT",
        "DATA",
    ]


def test_nothing_is_sent_ahead_to_a_peer_without_pipelining() -> None:
    with Sink(extensions=NO_PIPELINING) as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org", "bob@example.org"))
    assert sink.sessions[0].pipelined == []


@both_ways
def test_each_recipient_gets_the_reply_to_its_rcpt(extensions: tuple[str, ...]) -> None:
    replies = {
        "RCPT bob@example.org": "550 5.1.1 no such user",
        "RCPT cyd@example.org": "451 4.7.1 greylisted",
        "RCPT dan@example.org": "552 over quota",
    }
    people = [f"{name}@example.org" for name in ("ann", "bob", "cyd", "dan", "eve")]
    with Sink(replies=replies, extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert delivery.replies == ["250 2.0.0", "550 5.1.1", "451 4.7.1", "552 5.0.0", "250 2.0.0"]
    assert delivery.committed == [1000, 1004]
    assert sink.recipients == ["ann@example.org", "eve@example.org"]


@both_ways
def test_no_recipient_accepted_sends_no_content_and_the_next_message_goes_on(
    extensions: tuple[str, ...],
) -> None:
    replies = {"RCPT bob@example.org": "550 5.1.1 no such user"}
    with Sink(replies=replies, extensions=extensions) as sink:
        delivery = Delivery(
            sink.nexthop, message(1, "bob@example.org"), message(2, "ann@example.org")
        )
    assert delivery.results == [Result.BOUNCED, Result.SENT]
    assert delivery.committed == [2000]
    assert len(sink.sessions) == 1


def test_a_354_without_recipients_gets_a_lone_dot() -> None:
    replies = {"RCPT bob@example.org": "550 5.1.1 no", "DATA": ["354 oh well", "354 go on"]}
    with Sink(replies=replies) as sink:
        delivery = Delivery(
            sink.nexthop, message(1, "bob@example.org"), message(2, "ann@example.org")
        )
    assert delivery.results == [Result.BOUNCED, Result.SENT]
    assert [taken.raw for taken in sink.messages if not taken.recipients] == [b".\r\n"]
    assert [taken.content for taken in sink.messages if taken.recipients] == [TEXT]


@both_ways
@pytest.mark.parametrize(
    ("step", "reply", "result"),
    [
        ("MAIL", "550 5.7.1 not you", Result.BOUNCED),
        ("MAIL", "451 4.3.0 later", Result.DEFERRED),
        ("DATA", "554 5.6.0 no", Result.BOUNCED),
        ("DATA", "451 4.3.0 later", Result.DEFERRED),
        (".", "554 5.7.1 spam", Result.BOUNCED),
        (".", "452 4.3.1 full", Result.DEFERRED),
    ],
)
def test_a_refusal_of_mail_or_data_holds_for_all_and_the_session_goes_on(
    extensions: tuple[str, ...], step: str, reply: str, result: Result
) -> None:
    replies = {step: [reply, "354 go" if step == "DATA" else "250 2.0.0 ok"]}
    with Sink(replies=replies, extensions=extensions) as sink:
        delivery = Delivery(
            sink.nexthop,
            message(1, "ann@example.org", "bob@example.org"),
            message(2, "cyd@example.org"),
        )
    assert delivery.results == [result, result, Result.SENT]
    assert delivery.replies[0] == delivery.replies[1] == reply[:9]
    assert len(sink.sessions) == 1


@both_ways
def test_many_messages_share_one_connection(extensions: tuple[str, ...]) -> None:
    messages = [message(n, f"user{n}@example.org") for n in range(1, 31)]
    contents = {n: b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(1, 31)}
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, *messages, content=contents)
    assert delivery.results == [Result.SENT] * 30
    assert [taken.content for taken in sink.messages] == list(contents.values())
    assert len(sink.sessions) == 1
    assert "RSET" not in sink.sessions[0].verbs


@both_ways
def test_a_peer_that_takes_one_recipient_at_a_time_gets_several_transactions(
    extensions: tuple[str, ...],
) -> None:
    def one_only(session: SinkSession, line: str) -> str:
        since_mail = session.verbs[::-1].index("MAIL")
        return "250 2.1.5 ok" if since_mail == 1 else "452 4.5.3 too many recipients"

    people = [f"user{n}@example.org" for n in range(4)]
    with Sink(replies={"RCPT": one_only}, extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert delivery.results == [Result.SENT] * 4
    assert sorted(sink.recipients) == people
    assert len(sink.messages) == 4
    assert len(sink.sessions) == 1


def test_too_many_for_the_very_first_recipient_defers_it() -> None:
    with Sink(replies={"RCPT": "452 4.5.3 too many recipients"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.replies == ["452 4.5.3"]


def test_more_than_a_hundred_recipients_are_split() -> None:
    people = [f"user{n}@example.org" for n in range(250)]
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, message(1, *people))
    assert [len(taken.recipients) for taken in sink.messages] == [100, 100, 50]
    assert delivery.results == [Result.SENT] * 250


def test_the_null_sender_stays_null() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org", reverse_path=""))
    assert sink.sessions[0].commands[1].startswith("MAIL FROM:<>")


def test_a_strange_local_part_is_quoted_on_the_wire() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, 'a "quoted" @name@example.org'))
    assert 'RCPT TO:<"a \\"quoted\\" @name"@example.org>' in sink.sessions[0].commands


def test_an_address_can_never_bring_in_a_command() -> None:
    with Sink() as sink, pytest.raises(ValueError, match="line end"):
        Delivery(sink.nexthop, message(1, "x@example.org>\r\nRCPT TO:<y@example.org"))
    assert sink.recipients == []


def test_stopping_finishes_the_message_at_hand_and_leaves_the_rest() -> None:
    messages = [message(n, "ann@example.org") for n in (1, 2, 3)]
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, *messages, stop_after=1)
    assert list(delivery.by_id) == [1000]
    assert len(sink.messages) == 1


# --- extensions


def test_parameters_are_given_to_a_peer_that_offers_them() -> None:
    recipient = QueuedRecipient(
        1000, "ann@example.org", notify="SUCCESS,FAILURE", original_recipient="rfc822;a+b@x.org"
    )
    queued = message(1, recipients=(recipient,), ret="HDRS", envid="id=1 +")
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, queued)
    _, mail, rcpt, *_ = sink.sessions[0].commands
    assert mail == (f"MAIL FROM:<{SENDER}> BODY=7BIT RET=HDRS ENVID=id+3D1+20+2B SIZE={len(TEXT)}")
    assert rcpt == "RCPT TO:<ann@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@x.org"
    assert delivery.only.final


def test_a_bare_peer_gets_no_parameters_and_will_not_report() -> None:
    recipient = QueuedRecipient(1000, "ann@example.org", notify="SUCCESS")
    queued = message(1, recipients=(recipient,), ret="FULL", envid="x")
    with Sink(extensions=()) as sink:
        delivery = Delivery(sink.nexthop, queued)
    assert sink.sessions[0].commands[1:3] == [
        f"MAIL FROM:<{SENDER}>",
        "RCPT TO:<ann@example.org>",
    ]
    assert not delivery.only.final


def test_recipients_who_want_no_report_hide_the_sender_from_a_peer_without_dsn() -> None:
    recipients = (
        QueuedRecipient(1000, "ann@example.org", notify="NEVER"),
        QueuedRecipient(1001, "bob@example.org", notify="FAILURE"),
    )
    with Sink(extensions=("PIPELINING",)) as sink:
        Delivery(sink.nexthop, message(1, recipients=recipients))
    assert [(taken.reverse_path, taken.recipients) for taken in sink.messages] == [
        (SENDER, ["bob@example.org"]),
        ("", ["ann@example.org"]),
    ]


def test_a_peer_that_only_knows_helo() -> None:
    with Sink(replies={"EHLO": "502 5.5.1 what?"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.results == [Result.SENT]
    assert sink.sessions[0].verbs[:2] == ["EHLO", "HELO"]


EIGHT_BIT = (
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
)


def test_eight_bit_text_is_declared() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=EIGHT_BIT)
    assert "BODY=8BITMIME" in sink.messages[0].mail_parameters
    assert sink.messages[0].content == EIGHT_BIT


def test_eight_bit_text_is_converted_for_a_seven_bit_peer() -> None:
    with Sink(extensions=("PIPELINING",)) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), content=EIGHT_BIT)
    assert delivery.results == [Result.SENT]
    assert sink.messages[0].content == (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"
    )


def test_what_cannot_be_converted_bounces_and_the_next_message_goes() -> None:
    signed = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc\r\n--b--\r\n"
    )
    with Sink(extensions=()) as sink:
        delivery = Delivery(
            sink.nexthop,
            message(1, "ann@example.org"),
            message(2, "bob@example.org"),
            content={1: signed, 2: TEXT},
        )
    assert delivery.replies == ["554 5.6.3", "250 2.0.0"]


def test_an_international_address_goes_out_with_smtputf8() -> None:
    queued = message(1, "jürgen@example.org", smtputf8=True)
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, queued)
    assert delivery.results == [Result.SENT]
    assert " SMTPUTF8" in sink.sessions[0].commands[1]
    assert sink.recipients == ["jürgen@example.org"]


def test_without_smtputf8_only_the_international_recipient_bounces() -> None:
    queued = message(1, "jürgen@example.org", "ann@example.org", smtputf8=True)
    with Sink(extensions=("8BITMIME",)) as sink:
        delivery = Delivery(sink.nexthop, queued)
    assert delivery.replies == ["553 5.6.7", "250 2.0.0"]
    assert sink.recipients == ["ann@example.org"]


@pytest.mark.parametrize(
    ("reverse_path", "content"),
    [("jürgen@example.com", TEXT), (SENDER, b"Subject: gr\xc3\xbcn\r\n\r\nx\r\n")],
    ids=["sender", "header"],
)
def test_without_smtputf8_an_international_message_bounces(
    reverse_path: str, content: bytes
) -> None:
    queued = message(1, "ann@example.org", reverse_path=reverse_path, smtputf8=True)
    with Sink(extensions=("8BITMIME",)) as sink:
        delivery = Delivery(sink.nexthop, queued, content=content)
    assert delivery.replies == ["553 5.6.7"]
    assert sink.messages == []


def test_extensions_are_those_of_the_session_at_hand() -> None:
    greetings = ["250-sink.example\n250 8BITMIME", "250 sink.example"]
    with Sink(replies={"EHLO": greetings, ".": ("250 2.0.0 ok", Do.CLOSE)}) as sink:
        delivery = Delivery(
            sink.nexthop,
            message(1, "ann@example.org"),
            message(2, "bob@example.org"),
            content=EIGHT_BIT,
        )
    assert delivery.results == [Result.SENT] * 2
    assert [taken.content.isascii() for taken in sink.messages] == [False, True]


# --- framing: nobody may see a second message in ours

ENDINGS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n",
    "CRLF.NUL.CRLF": b"\r\n\x00.\r\n",
    "CRLF.CRLF": b"\r\n.\r\n",
}


@pytest.mark.parametrize("lenient", [False, True], ids=["strict peer", "lenient peer"])
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_no_ending_smuggles_a_second_message(ending: bytes, lenient: bool) -> None:
    evil = (
        b"Subject: one\r\n\r\nfirst" + ending + b"MAIL FROM:<evil@example.com>\r\n"
        b"RCPT TO:<victim@example.org>\r\nDATA\r\nsecond" + ending
    )
    with Sink(lenient=lenient) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), content=evil)
    assert delivery.results == [Result.SENT]
    assert sink.recipients == ["ann@example.org"]
    raw = sink.messages[0].raw
    assert raw.replace(b"\r\n", b"").count(b"\r") == raw.replace(b"\r\n", b"").count(b"\n") == 0


@pytest.mark.parametrize(
    ("content", "raw"),
    [
        (b"", b".\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b".\r\n.", b"..\r\n..\r\n.\r\n"),
    ],
)
def test_small_contents(content: bytes, raw: bytes) -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert sink.messages[0].raw == raw


def test_a_large_message_with_dots_everywhere_arrives_whole() -> None:
    content = b"".join(b".%d\r\n" % number for number in range(400_000))
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=content)
    assert sink.messages[0].content == content


# --- TLS


def test_tls_is_used_when_it_is_offered() -> None:
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert sink.messages[0].tls == "TLSv1.3"
    assert delivery.only.tls.startswith("TLSv1.3 TLS_")
    assert sink.sessions[0].verbs[:3] == ["EHLO", "STARTTLS", "EHLO"]


def test_what_comes_in_clear_after_the_220_is_dropped() -> None:
    injected = b"220 go ahead\r\n250-sink.example\r\n250 EVIL\r\n"
    with Sink(tls=Tls.STARTTLS, replies={"STARTTLS": injected}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    # The rest of the injected text may reach the handshake; it never reaches the session.
    assert delivery.results == [Result.SENT]
    assert "DSN" in ALL_EXTENSIONS
    assert delivery.only.final


def test_a_broken_handshake_falls_back_to_clear_and_says_so() -> None:
    with Sink(tls=Tls.BROKEN) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), message(2, "b@x.org"))
    assert delivery.results == [Result.SENT] * 2
    assert delivery.outcomes[0].tls.startswith("failed: ")
    assert [taken.tls for taken in sink.messages] == ["", ""]
    assert len(sink.sessions) == 2


def test_a_refused_starttls_goes_on_in_clear() -> None:
    with Sink(tls=Tls.STARTTLS, replies={"STARTTLS": "454 4.7.0 not now"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.only.tls == "failed: 454 4.7.0 not now"
    assert len(sink.sessions) == 1


@pytest.mark.parametrize(
    ("tls", "replies"),
    [(None, {}), (Tls.BROKEN, {}), (Tls.STARTTLS, {"STARTTLS": "454 4.7.0 not now"})],
    ids=["not offered", "broken", "refused"],
)
def test_required_tls_never_goes_in_clear(tls: Tls | None, replies: dict[str, str]) -> None:
    with Sink(tls=tls, replies=replies) as sink:
        delivery = Delivery(f"{sink.nexthop}/REQUIRED", message(1, "ann@example.org"))
    assert delivery.results == [Result.DEFERRED]
    assert delivery.only.reply.status == "4.7.5"
    assert "MAIL" not in sink.sessions[-1].verbs


def test_required_tls_that_works() -> None:
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = Delivery(f"{sink.nexthop}/REQUIRED", message(1, "ann@example.org"))
    assert delivery.results == [Result.SENT]


def test_implicit_tls() -> None:
    with Sink(tls=Tls.IMPLICIT) as sink:
        delivery = Delivery(f"{sink.nexthop}/SMTPS", message(1, "ann@example.org"))
    assert delivery.only.tls.startswith("TLSv1.3")
    assert sink.messages[0].tls == "TLSv1.3"


def test_implicit_tls_to_a_plain_port_is_deferred() -> None:
    with Sink() as sink:
        delivery = Delivery(f"{sink.nexthop}/SMTPS", message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]


# --- hostile and broken peers


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"BANNER": "554 5.7.1 go away"}, "554 5.7.1"),
        ({"BANNER": "421 too busy"}, "421 4.0.0"),
        ({"BANNER": Do.HANG}, "451 4.4.2"),
        ({"BANNER": Do.CLOSE}, "451 4.4.2"),
        ({"BANNER": b"SSH-2.0-OpenSSH_9.6\r\n"}, "451 4.5.0"),
        ({"BANNER": b"220-" + b"x" * 60 + b"\r\n"}, "451 4.4.2"),
        ({"BANNER": b"220-banner line\r\n" * 60_000}, "451 4.5.0"),
        ({"BANNER": b"x" * 1_000_000}, "451 4.5.0"),
        ({"EHLO": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"EHLO": "550 no", "HELO": "550 5.7.1 no"}, "550 5.7.1"),
        ({"EHLO": Do.CLOSE}, "451 4.4.2"),
        ({"MAIL": "199 what"}, "451 4.5.0"),
        ({"MAIL": "299 fine"}, "250 2.0.0"),
        ({"MAIL": "999 odd"}, "451 4.5.0"),
        ({"MAIL": "354 not now"}, "451 4.5.0"),
        ({"MAIL": "ok"}, "451 4.5.0"),
        ({"MAIL": b"250-one\r\n550 two\r\n"}, "451 4.5.0"),
        ({"MAIL": b"250 bare LF\n"}, "250 2.0.0"),
        ({"MAIL": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"MAIL": Do.HANG}, "451 4.4.2"),
        ({"MAIL": Do.RESET}, "451 4.4.2"),
        ({"RCPT": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"RCPT": Do.CLOSE}, "451 4.4.2"),
        ({"DATA": "250 sure"}, "451 4.5.0"),
        ({"DATA": Do.HANG}, "451 4.4.2"),
        ({"DATA": "421 4.3.2 closing"}, "421 4.3.2"),
        ({"DATA": ("354 go", Do.RESET)}, "451 4.4.2"),
        ({".": Do.HANG}, "451 4.4.2"),
        ({".": "354 more?"}, "451 4.5.0"),
        ({".": "gibberish"}, "451 4.5.0"),
        ({".": ("250 2.0.0 taken", Do.RESET)}, "250 2.0.0"),
        ({"QUIT": Do.HANG}, "250 2.0.0"),
        ({"QUIT": Do.RESET}, "250 2.0.0"),
    ],
    ids=str,
)
def test_whatever_a_peer_does_there_is_an_outcome(replies: dict[str, object], outcome: str) -> None:
    with Sink(replies=replies) as sink:  # type: ignore[arg-type]
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.replies == [outcome]


def test_a_reset_before_the_banner_is_no_connection_or_a_lost_one() -> None:
    with Sink(replies={"BANNER": Do.RESET}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    # Which one depends on whether the reset overtakes the end of connect().
    assert delivery.replies in (["451 4.4.1"], ["451 4.4.2"])


@pytest.mark.parametrize("step", [Do.RESET, Do.CLOSE, Do.HANG, "421 4.3.2 closing"], ids=str)
def test_losing_the_peer_after_the_final_dot_is_deferred_and_known_as_uncertain(
    step: Do | str,
) -> None:
    with Sink(replies={".": step}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]
    assert delivery.committed == [1000]
    assert delivery.only.command == "DATA"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_losing_the_peer_before_the_final_dot_is_not_uncertain(step: str) -> None:
    with Sink(replies={step: Do.CLOSE}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]
    assert delivery.committed == []


def test_a_reply_that_was_read_before_the_loss_counts() -> None:
    replies = {"RCPT bob@example.org": ("550 5.1.1 no such user", Do.CLOSE)}
    with Sink(replies=replies) as sink:
        delivery = Delivery(sink.nexthop, message(1, "bob@example.org", "ann@example.org"))
    assert delivery.replies == ["550 5.1.1", "451 4.4.2"]


def test_replies_are_made_harmless_but_kept() -> None:
    nasty = b"550 5.1.1 <script>\x00\x1b[31m'; DROP TABLE\xff\xfe \xc3\xbc\r\n"
    with Sink(replies={"RCPT": nasty}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    text = delivery.only.reply.text
    assert text.startswith("<script>  [31m'; DROP TABLE")
    assert text.isprintable()
    assert "ü" in text


def test_a_long_reply_is_kept_in_part() -> None:
    lines = "\n".join(f"550-line {number} " + "x" * 3000 for number in range(90))
    with Sink(replies={"RCPT": f"{lines}\n550 end"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    kept = delivery.only.reply.text.split("\n")
    assert len(kept) == 10
    assert max(map(len, kept)) <= 2048


def test_a_dropped_connection_defers_one_message_and_the_others_go_over_a_new_one() -> None:
    with Sink(replies={"RCPT bad@example.org": Do.CLOSE}) as sink:
        delivery = Delivery(
            sink.nexthop,
            message(1, "ann@example.org"),
            message(2, "bad@example.org"),
            message(3, "cyd@example.org"),
        )
    assert delivery.replies == ["250 2.0.0", "451 4.4.2", "250 2.0.0"]
    assert sink.recipients == ["ann@example.org", "cyd@example.org"]


@both_ways
@pytest.mark.parametrize("answer", [("250 2.0.0 ok", Do.CLOSE), "421"], ids=["closes", "421"])
def test_a_peer_that_wants_one_message_a_connection_still_gets_all(
    extensions: tuple[str, ...], answer: object
) -> None:
    def second_mail(session: SinkSession, line: str) -> object:
        return "250 2.1.0 ok" if session.verbs.count("MAIL") == 1 else ("421 bye", Do.CLOSE)

    replies: dict[str, object] = {"MAIL": second_mail} if answer == "421" else {".": answer}
    messages = [message(n, f"user{n}@example.org") for n in range(1, 6)]
    with Sink(replies=replies, extensions=extensions) as sink:  # type: ignore[arg-type]
        delivery = Delivery(sink.nexthop, *messages)
    assert delivery.results == [Result.SENT] * 5
    assert len(sink.messages) == 5
    assert len(sink.sessions) == 5


def test_a_peer_that_never_gets_anywhere_is_left_alone_soon() -> None:
    messages = [message(n, "ann@example.org") for n in range(1, 21)]
    with Sink(replies={"MAIL": Do.CLOSE}) as sink:
        delivery = Delivery(sink.nexthop, *messages)
    assert delivery.results == [Result.DEFERRED] * 20
    assert len(sink.sessions) == 2


def test_the_session_as_a_whole_is_bounded() -> None:
    messages = [message(n, "ann@example.org") for n in range(1, 4)]
    with Sink(replies={"RCPT": Do.HANG}) as sink:
        delivery = Delivery(sink.nexthop, *messages, timeouts={**PLENTY, "session": 0.3})
    assert delivery.results == [Result.DEFERRED] * 3


def test_a_failure_of_ours_in_mid_delivery_gives_the_peer_no_complete_message() -> None:
    class DatabaseAway(Exception):
        pass

    def fail(ids: object) -> None:
        raise DatabaseAway

    with Sink() as sink:
        context = DeliveryContext(
            "mail.example.test", Path("unused"), lambda id: TEXT, committing=fail
        )
        request = DeliveryRequest("esmtp", sink.nexthop, (message(1, "ann@example.org"),))
        with pytest.raises(DatabaseAway):
            list(Esmtp().deliver(request, context))
    assert sink.messages == []


# --- finding the host


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_nobody_listens() -> None:
    delivery = Delivery(f"relay:[127.0.0.1]:{closed_port()}", message(1, "ann@example.org"))
    assert delivery.replies == ["451 4.4.1"]
    assert delivery.only.remote == "[127.0.0.1]"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def by_mx(sink: Sink, domain: str, zone: dict, *messages: QueuedMessage) -> Delivery:
    with DnsServer(zone) as dns:
        return Delivery(
            f"mx:{domain}",
            *(messages or (message(1, "ann@example.org"),)),
            dns=dns.address,
            transport=Esmtp(mx_port=sink.port, is_local=is_never_local),
        )


def test_delivery_by_mx_tries_the_next_host_and_address() -> None:
    zone = {
        "example.org": {"MX": ["10 mx1.example.org", "20 mx2.example.org"]},
        "mx1.example.org": {"A": ["127.0.0.2", "127.0.0.3"]},
        "mx2.example.org": {"A": ["127.0.0.1"]},
    }
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.results == [Result.SENT]
    assert delivery.only.remote == "mx2.example.org [127.0.0.1]"


def test_a_negative_greeting_is_final_although_there_is_another_host() -> None:
    zone = {
        "example.org": {"MX": ["10 mx1.example.org", "20 mx2.example.org"]},
        "mx1.example.org": {"A": ["127.0.0.1"]},
        "mx2.example.org": {"A": ["127.0.0.1"]},
    }
    with Sink(replies={"BANNER": "554 5.3.2 no service"}) as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.replies == ["554 5.3.2"]
    assert len(sink.sessions) == 1


@pytest.mark.parametrize(
    ("records", "reply"),
    [
        ({"MX": ["10 192.0.2.1", "20 good.example"]}, "550 5.4.4"),
        ({"MX": ["0 ."]}, "556 5.1.10"),
        ({"MX": ["10 missing.example"]}, "550 5.1.2"),
        (Trouble.SERVFAIL, "451 4.4.3"),
        (None, "550 5.1.2"),
    ],
    ids=["literal MX", "null MX", "unresolvable", "servfail", "nxdomain"],
)
def test_dns_answers_become_outcomes(records: object, reply: str) -> None:
    zone = {"good.example": {"A": ["127.0.0.1"]}}
    if records is not None:
        zone["example.org"] = records  # type: ignore[assignment]
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone)
    assert delivery.replies == [reply]
    assert sink.sessions == []


def test_an_mx_on_this_machine_is_a_loop_unless_a_route_says_so() -> None:
    zone = {"example.org": {"MX": ["10 mx.example.org"]}, "mx.example.org": {"A": ["127.0.0.1"]}}
    with Sink() as sink, DnsServer(zone) as dns:
        queued = message(1, "ann@example.org")
        looped = Delivery(
            "mx:example.org", queued, dns=dns.address, transport=Esmtp(mx_port=sink.port)
        )
        routed = Delivery(f"relay:example.org:{sink.port}", queued, dns=dns.address)
    assert looped.replies == ["554 5.4.6"]
    assert routed.results == [Result.SENT]
    assert routed.only.remote == "mx.example.org [127.0.0.1]"


def test_a_relay_on_localhost_needs_no_dns() -> None:
    with Sink() as sink:
        delivery = Delivery(f"relay:localhost:{sink.port}", message(1, "ann@example.org"))
    assert delivery.results == [Result.SENT]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_a_relay_by_ipv6_address() -> None:
    with Sink(host="::1") as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.only.remote == "[::1]"
