"""Recipients who differ about a content: what is queued, reported and put on record."""

import pytest

from mta import runtime
from mta.ingress.division import divide
from mta.ingress.transaction import Transaction
from mta.models import AccessRule, Content, Event, Mailbox, Message, Recipient, Refusal, State
from mta.policy.decision import Decision, Stage, Verdict
from mta.policy.facts import MailFacts, Policy, RcptFacts, Resolution, Standing
from mta.protocol import envelope
from mta.protocol.parameters import MailParameters
from mta.protocol.queue_id import decode_queue_id
from mta.protocol.reply import Reply
from tests.support.smtp_session import Client
from tests.support.waiting import eventually

BIG = b"Subject: big\r\n\r\n" + b"0123456789\r\n" * 10
REFUSAL = "552 5.3.4 the message is too big for this mailbox: the limit is 50 octets"


@pytest.fixture(autouse=True)
def bob_takes_little(town) -> None:
    Mailbox.objects.filter(local_part="bob").update(sizelimit=50)


def send(client: Client, *recipients: str, mail: str = "") -> list[str]:
    """All replies to the end of DATA."""
    client.command(f"MAIL FROM:<alice@example.org> {mail}".rstrip())
    for recipient in recipients:
        assert client.command(f"RCPT TO:{recipient}").startswith("250")
    assert client.command("DATA").startswith("354")
    client.send(BIG + b".\r\nNOOP\r\n")
    replies = [client.reply()]
    while replies[-1] != "250 2.0.0 Ok":
        replies.append(client.reply())
    return replies[:-1]


def rows() -> list[tuple[str, str, str, str]]:
    fields = ("address", "state", "report", "last_reply")
    return list(Recipient.objects.order_by("id").values_list(*fields))


@pytest.mark.parametrize(
    ("notify", "report"),
    [("", "failed"), (" NOTIFY=NEVER", ""), (" NOTIFY=DELAY", ""), (" NOTIFY=FAILURE", "failed")],
)
def test_who_cannot_be_told_is_sent_a_report(ingress, notify, report):
    with ingress.connect() as client:
        (reply,) = send(client, "<ann@example.test>", f"<bob@example.test>{notify}")
    assert reply.startswith("250 2.0.0 Ok: queued as ")
    assert rows() == [
        ("ann@example.test", "queued", "", ""),
        ("bob@example.test", "failed", report, REFUSAL),
    ]
    message = Message.objects.get()
    assert (message.pending, message.finished_at) == (1, None)
    verdicts = [
        each for each in Event.objects.get().data["decisions"] if each["stage"] == "verdict"
    ]
    assert [(each["subject"], each["verdict"]) for each in verdicts] == [
        ("bob@example.test", "refuse")
    ]


def test_the_report_names_who_refused_and_why(ingress):
    with ingress.connect() as client:
        send(client, "<ann@example.test>", "<bob@example.test>")
    # One report for all: it waits until the others have been tried.
    assert runtime.send_reports() == 0
    Recipient.objects.filter(address="ann@example.test").update(state=State.DELIVERED)
    assert runtime.send_reports() == 1
    assert Recipient.objects.filter(message__source="dsn").get().address == "alice@example.org"
    text = bytes(Content.objects.get(message__source="dsn").data).decode()
    assert "Final-Recipient: rfc822; bob@example.test\r\nAction: failed\r\n" in text
    assert "Status: 5.3.4" in text
    assert "Final-Recipient: rfc822; ann@example.test" not in text


@pytest.mark.parametrize("way", ["EXDATA", "PRDR"])
def test_who_was_told_is_not_queued_but_on_record(ingress, way):
    with ingress.connect() as client:
        replies = send(client, "<bob@example.test>", "<ann@example.test>", mail=way)
    assert [row[:2] for row in rows()] == [("ann@example.test", "queued")]
    queue_id = "\n".join(replies).partition("queued as ")[2][:13]
    refusal = eventually(lambda: Refusal.objects.first())
    assert refusal.message_id == decode_queue_id(queue_id)
    assert (refusal.stage, refusal.rule) == ("verdict", "mailbox_size")
    assert (refusal.recipient, refusal.reverse_path) == ("bob@example.test", "alice@example.org")


def test_the_verdicts_come_in_the_order_of_the_recipients(ingress):
    recipients = ["<ann@example.test>", "<bob@example.test>", "<carl@example.test>"]
    with ingress.connect() as client:
        (reply,) = send(client, *recipients, mail="EXDATA")
        assert [line[4:7] for line in reply.split("\n")] == ["250", "552", "552", "250"]
        replies = send(client, *recipients, mail="PRDR")
        assert [each[:3] for each in replies] == ["353", "250", "552", "250", "250"]


@pytest.mark.parametrize("way", ["", "EXDATA", "PRDR"])
def test_when_nobody_takes_it_nothing_is_queued(ingress, way):
    with ingress.connect() as client:
        replies = send(client, "<bob@example.test>", mail=way)
    assert replies[-1][0] == "5"
    assert not Message.objects.exists()
    refusal = eventually(lambda: Refusal.objects.first())
    assert (refusal.rule, refusal.message_id) == ("mailbox_size", None)


def judged(way: str, *verdicts: Verdict) -> tuple[Transaction, list[Decision]]:
    """A transaction whose recipients r0, r1 ... say this."""
    parameters = MailParameters(exdata=way == "EXDATA", prdr=way == "PRDR")
    current = Transaction(Policy(1, "mail.example.test"), MailFacts("a@b.example"), parameters)
    decisions = []
    for number, verdict in enumerate(verdicts):
        address = f"r{number}@example.test"
        resolution = Resolution(address, Standing.MAILBOX, (address,))
        current.accepted.append((envelope.Recipient(address), RcptFacts(resolution)))
        decisions.append(Decision(Stage.VERDICT, verdict, REPLIES[verdict], "rule", (), 1))
    return current, decisions


OK, FULL, NEVER = Verdict.ACCEPT, Verdict.DEFER, Verdict.REFUSE
REPLIES = {
    OK: Reply(250, "2.1.5", "Ok"),
    FULL: Reply(452, "4.2.2", "full"),
    NEVER: Reply(550, "5.7.1", "no"),
}


@pytest.mark.parametrize(
    ("way", "verdicts", "kept", "failed"),
    [
        ("", [OK, OK], ["r0", "r1"], []),
        ("", [OK, NEVER], ["r0"], ["r1"]),
        # A full mailbox is asked again at delivery.
        ("", [OK, FULL], ["r0", "r1"], []),
        ("", [FULL, NEVER], ["r0"], ["r1"]),
        ("", [OK, FULL, NEVER], ["r0", "r1"], ["r2"]),
        ("", [FULL, FULL], [], []),
        ("", [NEVER, NEVER], [], []),
        ("EXDATA", [OK, FULL, NEVER], ["r0"], []),
        ("PRDR", [OK, FULL, NEVER], ["r0"], []),
        ("PRDR", [FULL, NEVER], [], []),
    ],
)
def test_who_is_queued_and_who_is_reported(way, verdicts, kept, failed):
    division = divide(*judged(way, *verdicts))
    assert [recipient.address.partition("@")[0] for recipient, _ in division.kept] == kept
    assert [recipient.address.partition("@")[0] for recipient, _ in division.failed] == failed


@pytest.mark.parametrize(
    ("way", "verdicts", "reply"),
    [
        ("", [FULL, FULL], "452 4.2.2 full"),
        ("", [NEVER], "550 5.7.1 no"),
        ("PRDR", [NEVER, NEVER], "550 5.0.0 no recipient takes the message"),
        ("PRDR", [NEVER, FULL], "450 4.0.0 no recipient takes the message now"),
    ],
)
def test_one_reply_when_nobody_takes_it(way, verdicts, reply):
    assert str(divide(*judged(way, *verdicts)).common_refusal()) == reply


def test_who_refuses_for_different_reasons_is_named(ingress):
    Mailbox.objects.filter(local_part="ann").update(sizelimit=60)
    with ingress.connect() as client:
        (reply,) = send(client, "<ann@example.test>", "<bob@example.test>")
    assert [line.partition(": the limit")[0] for line in reply.split("\n")] == [
        "552-5.3.4 <ann@example.test>: the message is too big for this mailbox",
        "552 5.3.4 <bob@example.test>: the message is too big for this mailbox",
    ]
    assert not Message.objects.exists()


def test_flags_of_mail_reach_the_queue(ingress):
    with ingress.connect() as client:
        client.starttls()
        client.command("EHLO client.example.org")
        send(client, "<ann@example.test>", mail="VERP REQUIRETLS")
        send(client, "<ann@example.test>")
    flags = list(Message.objects.order_by("id").values_list("verp", "requiretls"))
    assert flags == [(True, True), (False, False)]


def test_a_courier_server_is_told_unasked(ingress):
    """Its client understands 558 but never says EXDATA."""
    AccessRule.objects.create(prefix="127.0.0.1/32", exdata=True)
    with ingress.connect() as client:
        *_, taken, name, refused = client.mail(
            "ann@example.test", "bob@example.test", content=BIG
        ).split("\n")
        assert taken.startswith("558-250 2.0.0 Ok: queued as ")
        assert name == "558-552-5.3.4 <bob@example.test>:"
        assert refused == f"558 {REFUSAL}"
        assert client.mail("ann@example.test", content=BIG).startswith("250 ")
    assert not Recipient.objects.filter(address="bob@example.test").exists()
