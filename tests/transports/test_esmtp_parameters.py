"""What the esmtp transport does with the extensions that a peer offers."""

import email

import pytest

from mta.transports.base import QueuedRecipient, Result
from tests.support.sink import Do, Sink
from tests.transports.esmtp_delivery import EIGHT_BIT, SENDER, TEXT, Delivery, message


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


def test_forwarded_recipients_have_a_return_path_of_their_own() -> None:
    recipients = (
        QueuedRecipient(1000, "ann@example.org"),
        QueuedRecipient(1001, "bob@example.org", return_path="SRS0=b@here.example"),
        QueuedRecipient(1002, "cyd@example.org", return_path="SRS0=c@here.example"),
        QueuedRecipient(1003, "dan@example.org", return_path="SRS0=b@here.example"),
    )
    with Sink() as sink:
        delivery = Delivery(sink.nexthop, message(1, recipients=recipients, verp=True))
    assert set(delivery.results) == {Result.SENT}
    assert [
        (taken.reverse_path, taken.recipients)
        for taken in sink.messages
        if taken.reverse_path.startswith("SRS0")
    ] == [
        ("SRS0=b@here.example", ["bob@example.org", "dan@example.org"]),
        ("SRS0=c@here.example", ["cyd@example.org"]),
    ]
    assert len(sink.messages) == 3


def test_a_peer_that_only_knows_helo() -> None:
    with Sink(replies={"EHLO": "502 5.5.1 what?"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.results == [Result.SENT]
    assert sink.sessions[0].verbs[:2] == ["EHLO", "HELO"]


def test_eight_bit_text_is_declared() -> None:
    with Sink() as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=EIGHT_BIT)
    assert "BODY=8BITMIME" in sink.messages[0].mail_parameters
    assert sink.messages[0].content == EIGHT_BIT


def test_eight_bit_text_is_converted_for_a_seven_bit_peer() -> None:
    with Sink(extensions=("PIPELINING",)) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), content=EIGHT_BIT)
    assert delivery.results == [Result.SENT]
    arrived = email.message_from_bytes(sink.messages[0].content)
    assert sink.messages[0].content.isascii()
    assert arrived["Content-Transfer-Encoding"] == "quoted-printable"
    assert arrived.get_payload(decode=True) == "Grüße\r\n".encode()


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


@pytest.mark.parametrize("offers_utf8", [True, False])
def test_an_international_original_recipient_takes_its_own_form(offers_utf8: bool) -> None:
    recipient = QueuedRecipient(
        1000, "ann@example.org", original_recipient="utf-8;jürgen+x@example.com"
    )
    extensions = ("DSN", "SMTPUTF8") if offers_utf8 else ("DSN",)
    with Sink(extensions=extensions) as sink:
        Delivery(sink.nexthop, message(1, recipients=(recipient,)))
    assert sink.messages[0].recipient_parameters == {
        "ann@example.org": r"ORCPT=utf-8;j\x{FC}rgen\x{2B}x@example.com"
    }


@pytest.mark.parametrize("came_with_smtputf8", [True, False])
@pytest.mark.parametrize(
    ("extensions", "reply"),
    [(("8BITMIME", "SMTPUTF8"), "250 2.0.0"), (("8BITMIME",), "553 5.6.7")],
    ids=["with", "without"],
)
def test_raw_text_in_a_header_is_never_sent_without_smtputf8(
    extensions: tuple[str, ...], reply: str, came_with_smtputf8: bool
) -> None:
    queued = message(1, "ann@example.org", smtputf8=came_with_smtputf8)
    content = b"Subject: gr\xc3\xbcn\r\n\r\nx\r\n"
    with Sink(extensions=extensions) as sink:
        delivery = Delivery(sink.nexthop, queued, content=content)
    assert delivery.replies == [reply]
    assert all(taken.mail_parameters.startswith("SMTPUTF8 ") for taken in sink.messages)


def test_the_size_is_that_of_what_is_sent() -> None:
    with Sink(extensions=("SIZE",)) as sink:
        Delivery(sink.nexthop, message(1, "ann@example.org"), content=EIGHT_BIT)
    assert sink.messages[0].mail_parameters == f"SIZE={len(sink.messages[0].content)}"
