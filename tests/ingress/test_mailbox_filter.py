"""Owners' rules within the session, over the wire: at RCPT, at the end of DATA, and together."""

import pytest

from mta import mailbox_scripts
from mta.explain import explain
from mta.explanation import Request
from mta.models import AccessRule, Event, Mailbox, MailboxScript, Recipient, Refusal, SenderListing
from tests.ingress.conftest import PASSWORD
from tests.support.smtp_session import Client
from tests.support.waiting import eventually

ANN, BOB, CARL = "ann@example.test", "bob@example.test", "carl@example.test"
SPAM = b"From: Eve <eve@spam.example>\r\nSubject: buy pills\r\n\r\nnow\r\n"
NEWS = b"From: alice@example.org\r\nSubject: news\r\n\r\nnothing new\r\n"
NO_PILLS = """require "reject";
if header :contains "subject" "pills" {
    reject "no pills, thank you";
}
"""
BLOCKED = "550 5.7.1 the recipient takes no mail from this sender"
OTHER_CLASS = "412 4.5.3 another transaction, please"


def mailbox(address: str) -> Mailbox:
    return Mailbox.objects.get(local_part=address.partition("@")[0])


def lists(address: str, word: str, sender: str) -> None:
    SenderListing.objects.create(mailbox=mailbox(address), word=word, sender=sender)


def script(address: str, text: str, moment: str = "message") -> None:
    chosen = MailboxScript.Moment(moment)
    mailbox_scripts.save(mailbox(address), "own", text, saved_by="a test", moment=chosen)
    mailbox_scripts.activate(mailbox(address), "own", chosen)


@pytest.fixture
def client(ingress):
    with ingress.connect() as client:
        yield client


def rcpts(client: Client, *recipients: str, sender: str = "alice@example.org", mail: str = ""):
    """The replies to the recipients of a new transaction."""
    client.command("RSET")
    assert client.command(f"MAIL FROM:<{sender}> {mail}".rstrip()).startswith("250")
    return [client.command(f"RCPT TO:<{recipient}>") for recipient in recipients]


def data(client: Client, content: bytes) -> list[str]:
    """Every reply to the content."""
    assert client.command("DATA").startswith("354")
    client.send(content + b".\r\nNOOP\r\n")
    replies = [client.reply()]
    while replies[-1] != "250 2.0.0 Ok":
        replies.append(client.reply())
    return replies[:-1]


def queued() -> list[str]:
    return list(Recipient.objects.order_by("id").values_list("address", flat=True))


# --- at RCPT --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "sender", "refused"),
    [
        ("alice@example.org", "Alice@Example.ORG", True),
        ("@example.org", "anybody@example.org", True),
        ("@example.org", "anybody@sub.example.org", False),
        ("alice@example.org", "bob@example.org", False),
        ("@example.org", "", False),
    ],
)
def test_a_blocked_sender_is_refused_by_that_mailbox_only(client, listed, sender, refused):
    lists(ANN, "block", listed)
    to_ann, to_bob = rcpts(client, ANN, BOB, sender=sender)
    assert to_ann == (BLOCKED if refused else "250 2.1.5 Recipient Ok")
    assert to_bob == "250 2.1.5 Recipient Ok"


def test_the_address_counts_before_the_domain_and_both_before_the_script(client):
    lists(ANN, "block", "@example.org")
    lists(ANN, "allow", "alice@example.org")
    script(ANN, 'require "reject"; reject "nobody";', "recipient")
    assert rcpts(client, ANN) == ["250 2.1.5 Recipient Ok"]
    assert rcpts(client, ANN, sender="bob@example.org") == [BLOCKED]
    assert rcpts(client, ANN, sender="bob@example.com") == ["550 5.7.1 nobody"]


def test_an_alias_for_one_mailbox_has_its_rules_and_a_list_has_none(client):
    lists(BOB, "block", "@example.org")
    assert rcpts(client, "sales@example.test", "team@example.test") == [
        BLOCKED,
        "250 2.1.5 Recipient Ok",
    ]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("not you", "550 5.7.1 not you"),
        ("451 4.2.1 on holiday", "451 4.2.1 on holiday"),
        ("553 go away", "553 5.7.1 go away"),
        # These would end the session, or be taken for verdicts on several recipients.
        ("421 bye", "450 4.7.1 bye"),
        ("558 250 Ok", "550 5.7.1 250 Ok"),
        ("250 Ok", "550 5.7.1 250 Ok"),
        ("one\r\n221 two\r\n", "550-5.7.1 one\n550 5.7.1 221 two"),
        ("bell \\a and \x07", "550 5.7.1 bell a and  "),
        ("Café größer", "550 5.7.1 Cafe gro?er"),
    ],
)
def test_the_owner_s_text_is_the_reply_and_nothing_else(client, text, reply):
    script(ANN, f'require "ereject"; ereject "{text}";', "recipient")
    assert rcpts(client, ANN) == [reply]
    assert client.command("NOOP").startswith("250")


def test_a_huge_text_of_an_owner_is_cut(client):
    long = "\r\n".join(["x" * 1000] * 30)
    script(ANN, f'require "reject"; reject "{long}";', "recipient")
    (reply,) = rcpts(client, ANN)
    lines = reply.split("\n")
    assert len(lines) == 20
    assert max(map(len, lines)) < 500


def test_a_script_that_is_broken_or_fails_refuses_nobody(client):
    script(ANN, 'require "reject"; reject "no"; keep;', "recipient")
    script(BOB, 'require "reject"; reject "no"; keep;')
    MailboxScript.objects.filter(moment="recipient").update(text="this is no Sieve")
    assert rcpts(client, ANN, BOB) == ["250 2.1.5 Recipient Ok"] * 2
    assert data(client, NEWS)[0].startswith("250 ")


def test_a_refusal_names_the_rule_and_not_what_it_says(client):
    script(ANN, 'require "ereject";\r\nereject "no";', "recipient")
    rcpts(client, ANN)
    refusal = eventually(lambda: Refusal.objects.first())
    assert (refusal.stage, refusal.rule) == ("rcpt", "mailbox_filter")
    assert refusal.trace[-1]["detail"] == f"mailbox filter of {ANN}, line 2"


def test_a_change_is_in_force_for_the_next_mail(client):
    assert rcpts(client, ANN) == ["250 2.1.5 Recipient Ok"]
    lists(ANN, "block", "alice@example.org")
    assert rcpts(client, ANN) == [BLOCKED]
    SenderListing.objects.all().delete()
    script(ANN, 'require "reject"; reject "closed";', "recipient")
    assert rcpts(client, ANN) == ["550 5.7.1 closed"]
    mailbox_scripts.activate(mailbox(ANN), None, MailboxScript.Moment.RECIPIENT)
    assert rcpts(client, ANN) == ["250 2.1.5 Recipient Ok"]


# --- at the end of DATA ---------------------------------------------------------------------------


def test_a_content_is_refused_with_the_owner_s_text(client):
    script(ANN, NO_PILLS)
    rcpts(client, ANN)
    assert data(client, SPAM) == ["550 5.7.1 no pills, thank you"]
    rcpts(client, ANN)
    assert data(client, NEWS)[0].startswith("250 ")
    assert queued() == [ANN]
    refusal = eventually(lambda: Refusal.objects.first())
    assert (refusal.stage, refusal.rule) == ("verdict", "mailbox_filter_content")
    assert refusal.trace[-1]["detail"] == f"mailbox filter of {ANN}, line 3"


def test_a_text_of_several_lines_is_a_reply_of_several_lines(client):
    script(ANN, 'require "reject"; reject text:\r\none\r\n..two\r\n.\r\n;')
    rcpts(client, ANN)
    assert data(client, NEWS) == ["550-5.7.1 one\n550 5.7.1 .two"]


def test_the_content_is_judged_as_it_is_stored(client):
    """With the headers of its arrival, and whatever its size."""
    script(
        ANN, 'require "reject"; if header :contains "received" "client.example.org" {reject "r";}'
    )
    for body in (b"short\r\n", b"0123456789\r\n" * 50_000):
        rcpts(client, ANN)
        assert data(client, b"Subject: s\r\n\r\n" + body) == ["550 5.7.1 r"]


def test_what_is_for_delivery_is_not_done_in_the_session(client):
    script(ANN, 'require "fileinto"; if true { fileinto "Junk"; } else { discard; }')
    rcpts(client, ANN)
    assert data(client, SPAM)[0].startswith("250 ")
    assert queued() == [ANN]


def test_a_blocked_sender_is_refused_by_the_from_field_too(client):
    lists(ANN, "block", "@spam.example")
    rcpts(client, ANN)
    assert data(client, SPAM) == [BLOCKED]


def test_an_allowed_sender_s_content_is_not_judged(client):
    lists(ANN, "allow", "alice@example.org")
    script(ANN, NO_PILLS)
    rcpts(client, ANN)
    assert data(client, SPAM)[0].startswith("250 ")
    decisions = Event.objects.get().data["decisions"]
    (rcpt,) = [each for each in decisions if each["stage"] == "rcpt"]
    assert rcpt["steps"][0]["detail"] == f"allowed senders of {ANN}: alice@example.org"


def test_an_explicit_keep_at_rcpt_takes_the_content_unseen(client):
    script(
        ANN, 'require "envelope"; if envelope :domain "from" "example.org" { keep; }', "recipient"
    )
    script(ANN, NO_PILLS)
    rcpts(client, ANN)
    assert data(client, SPAM)[0].startswith("250 ")
    rcpts(client, ANN, sender="alice@example.com")
    assert data(client, SPAM) == ["550 5.7.1 no pills, thank you"]


# --- several recipients ---------------------------------------------------------------------------


def test_who_is_told_apart_refuses_alone(client):
    script(ANN, NO_PILLS)
    assert rcpts(client, ANN, BOB, mail="PRDR") == ["250 2.1.5 Recipient Ok"] * 2
    verdicts = data(client, SPAM)
    assert verdicts[1] == f"550 5.7.1 <{ANN}>: no pills, thank you"
    assert [each[:3] for each in verdicts] == ["353", "550", "250", "250"]
    rcpts(client, ANN, CARL, mail="EXDATA")
    (reply,) = data(client, SPAM)
    assert reply.split("\n")[1] == "558-550 5.7.1 no pills, thank you"
    assert queued() == [BOB, CARL]


@pytest.mark.parametrize(("first", "second"), [(ANN, BOB), (BOB, ANN)])
def test_trusted_and_judged_are_not_put_together(client, first, second):
    lists(ANN, "allow", "alice@example.org")
    script(BOB, NO_PILLS)
    taken, other = rcpts(client, first, second)
    assert taken == "250 2.1.5 Recipient Ok"
    assert other.startswith(OTHER_CLASS)
    assert data(client, NEWS)[0].startswith("250 ")
    # The client comes again, with the other one alone.
    assert rcpts(client, second) == ["250 2.1.5 Recipient Ok"]


@pytest.mark.parametrize("way", ["EXDATA", "PRDR"])
def test_who_is_told_apart_may_come_together(client, way):
    lists(ANN, "allow", "alice@example.org")
    script(BOB, NO_PILLS)
    assert rcpts(client, ANN, BOB, mail=way) == ["250 2.1.5 Recipient Ok"] * 2
    data(client, SPAM)
    assert queued() == [ANN]


def test_a_server_that_is_told_unasked_may_send_to_both(client):
    lists(ANN, "allow", "alice@example.org")
    script(BOB, NO_PILLS)
    AccessRule.objects.create(prefix="127.0.0.1/32", exdata=True)
    assert rcpts(client, ANN, BOB) == ["250 2.1.5 Recipient Ok"] * 2


def test_rules_that_make_no_difference_keep_nobody_apart(client):
    lists(ANN, "allow", "alice@example.org")
    script(BOB, 'require "fileinto"; fileinto "Lists";')
    script(CARL, "# nothing to refuse", "recipient")
    assert rcpts(client, ANN, BOB, CARL) == ["250 2.1.5 Recipient Ok"] * 3


def test_who_differs_after_data_is_kept_apart_when_the_client_comes_again(client):
    """Mail that nobody refuses is not delayed; what one refuses makes no bounce."""
    script(ANN, NO_PILLS)
    rcpts(client, ANN, BOB)
    assert data(client, NEWS)[0].startswith("250 ")
    Recipient.objects.all().delete()

    rcpts(client, BOB, ANN)
    assert data(client, SPAM)[0].startswith("450 4.7.1 the recipients differ")
    assert queued() == []
    eventually(lambda: Refusal.objects.filter(recipient=ANN).exists())
    taken, other = rcpts(client, BOB, ANN)
    assert taken == "250 2.1.5 Recipient Ok"
    assert other.startswith(OTHER_CLASS)
    assert data(client, SPAM)[0].startswith("250 ")
    assert rcpts(client, ANN) == ["250 2.1.5 Recipient Ok"]
    assert data(client, SPAM) == ["550 5.7.1 no pills, thank you"]
    assert queued() == [BOB]
    # Other senders are not concerned.
    assert rcpts(client, BOB, ANN, sender="bob@example.org") == ["250 2.1.5 Recipient Ok"] * 2


def test_when_all_owners_refuse_they_refuse_together(client):
    script(ANN, NO_PILLS)
    script(BOB, NO_PILLS)
    rcpts(client, ANN, BOB)
    assert data(client, SPAM) == ["550 5.7.1 no pills, thank you"]


def test_a_user_of_ours_is_told_by_a_report(ingress):
    script(ANN, NO_PILLS)
    lists(CARL, "allow", BOB)
    with ingress.connect("submission") as client:
        client.starttls()
        client.command("EHLO client.example.org")
        client.login(BOB, PASSWORD)
        assert rcpts(client, CARL, ANN, sender=BOB) == ["250 2.1.5 Recipient Ok"] * 2
        assert data(client, SPAM.replace(b"eve@spam.example", BOB.encode()))[0].startswith("250 ")
    states = dict(Recipient.objects.values_list("address", "state"))
    assert states == {CARL: "queued", ANN: "failed"}


# --- explained ------------------------------------------------------------------------------------


def test_explain_shows_both_moments(town):
    lists(ANN, "block", "bad@example.org")
    script(ANN, NO_PILLS)
    walked = explain(
        Request(
            client_ip="127.0.0.1",
            helo="client.example.org",
            reverse_path="alice@example.org",
            recipients=(ANN,),
            content=SPAM,
        )
    )
    last = walked.passages[-1]
    assert (last.decision.rule, str(last.decision.reply)) == (
        "mailbox_filter_content",
        "550 5.7.1 no pills, thank you",
    )
    assert last.asked[0].answer.text == f"mailbox filter of {ANN}, line 3"
