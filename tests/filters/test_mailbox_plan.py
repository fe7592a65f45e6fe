"""From the actions of a script to what is done at delivery: answers, notices, forwards."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from mta.filters import mailbox
from mta.filters.rule_names import RuleNames
from mta.filters.sieve.actions import (
    Action,
    Discard,
    FileInto,
    Keep,
    Notify,
    Redirect,
    Reject,
    Vacation,
)
from mta.filters.sieve.evaluate import Result
from mta.protocol.mailbox_plan import Answer, Copy, Hit, Incoming, MailboxPlan

ANN, BOB = "ann@example.com", "bob@example.org"
TEXT = "keep;\n# rule:[Away]\nif true {\nvacation text;\n}\n#rule:[]\nstop;\n"
AWAY = Vacation("I am away.", 86_400, line=4)


def letter(*fields: str, to: str = f"Ann <{ANN}>") -> bytes:
    lines = [f"From: {BOB}", f"To: {to}", "Subject: Lunch?", "Message-ID: <1@bob>", *fields]
    return ("\r\n".join(lines) + "\r\n\r\nHello\r\n").encode()


def planned(*actions: Action, content: bytes | None = None, **fields) -> MailboxPlan:
    was_judged = fields.pop("was_judged", True)
    incoming = Incoming(
        message_id=1,
        recipient_id=fields.pop("recipient_id", 7),
        recipient=ANN,
        original_recipient=fields.pop("original_recipient", ""),
        reverse_path=fields.pop("reverse_path", BOB),
        content=letter() if content is None else content,
        created_at=1_700_000_000,
    )
    standing = mailbox.Standing(
        ANN,
        "mail.example.com",
        1_700_000_000,
        RuleNames(TEXT),
        lambda address: address.endswith("@example.com"),
        was_judged,
    )
    return mailbox.plan(Result(actions, (), **fields), incoming, standing)


def answers(action: Vacation = AWAY, **fields) -> tuple[Answer, ...]:
    follow_up = planned(action, Keep(), **fields).follow_up
    assert follow_up is not None
    return follow_up.answers


def answer(action: Vacation = AWAY, **fields) -> EmailMessage:
    (made,) = answers(action, **fields)
    return email.message_from_bytes(made.content, policy=email.policy.default)


def hits(*actions: Action, **fields) -> tuple[Hit, ...]:
    follow_up = planned(*actions, **fields).follow_up
    assert follow_up is not None
    return follow_up.hits


def test_copies_and_hits():
    plan = planned(Keep(("\\Seen",), 1), FileInto("A/b", line=4), FileInto("inbox", line=7))
    assert plan.copies == (Copy("", ("\\Seen",)), Copy("A/b"), Copy(""))
    assert [(hit.rule, hit.what) for hit in plan.follow_up.hits] == [
        ("line 1", "kept in the inbox"),
        ("Away", "filed into A/b"),
        ("line 7", "filed into inbox"),
    ]


def test_what_is_kept_of_itself_is_no_hit():
    assert hits(Keep()) == ()


def test_discard_names_its_rule():
    plan = planned(Discard(line=4))
    assert (plan.copies, plan.forwards, plan.discarded_by) == ((), (), "Away")


def test_a_script_that_failed_keeps_the_message():
    plan = planned(Keep(), error="line 3: too many steps")
    assert plan.copies == (Copy(),)
    ((_, sentence),) = plan.follow_up.troubles
    assert "line 3: too many steps" in sentence


@pytest.mark.parametrize("address", ["no address", "a@b c", "x@example.org", "\n@example.com"])
def test_what_cannot_be_forwarded_is_kept_and_told(address):
    plan = planned(Redirect(address, line=1))
    assert (plan.copies, plan.forwards) == ((Copy(),), ())
    assert len(plan.follow_up.troubles) == 1


def test_forwarded_once_to_each():
    redirect = Redirect("carl@example.com", line=1)
    assert planned(redirect, redirect).forwards == ("carl@example.com",)


def test_a_refusal_is_for_who_was_never_asked():
    assert planned(Reject("no", line=1), was_judged=False).refusal == "no"
    assert planned(Reject("no", line=1)).copies == (Copy(),)
    assert planned(Reject("no", line=1), was_judged=False, reverse_path="").refusal == ""
    assert planned(Reject(" ", line=1), was_judged=False).refusal


def test_an_answer():
    reply = answer(content=letter("References: <0@bob>"))
    assert reply["From"] == ANN
    assert reply["To"] == BOB
    assert reply["Subject"] == "Auto: Lunch?"
    assert reply["In-Reply-To"] == "<1@bob>"
    assert reply["References"] == "<0@bob> <1@bob>"
    assert reply["Auto-Submitted"].startswith("auto-replied")
    assert reply.get_content().strip() == "I am away."
    (made,) = answers()
    assert (made.sender, made.seconds) == (BOB, 86_400)


def test_an_answer_in_the_words_of_its_owner():
    reply = answer(Vacation("Grüße", 1, "Weg: ä\r\nBcc: x@y", "Ann Ä <ann@example.com>"))
    assert reply["Subject"] == "Weg: ä Bcc: x@y"
    assert reply["From"] == "Ann Ä <ann@example.com>"
    assert reply["Bcc"] is None
    assert reply.get_content().strip() == "Grüße"


def test_an_answer_that_is_an_entity():
    entity = 'Content-Type: text/html; charset="utf-8"\n\n<b>away</b>'
    reply = answer(Vacation(entity, 1, mime=True))
    assert reply.get_content_type() == "text/html"
    assert reply.get_content().strip() == "<b>away</b>"
    assert reply["To"] == BOB


def test_what_is_said_differently_is_another_answer():
    handles = {
        answers(action)[0].handle
        for action in (AWAY, Vacation("b", 1), Vacation("b", 1, handle="h"), Vacation("b", 9))
    }
    assert len(handles) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"reverse_path": ""},
        {"reverse_path": ANN},
        {"reverse_path": "owner-list@example.org"},
        {"reverse_path": "list-request@example.org"},
        {"reverse_path": "MAILER-DAEMON@example.org"},
        {"reverse_path": "noreply@example.org"},
        {"content": letter("Auto-Submitted: auto-replied")},
        {"content": letter("auto-submitted:\r\n Auto-Generated; x=y")},
        {"content": letter("Precedence: bulk")},
        {"content": letter("List-Id: <dev.example.org>")},
        {"content": letter("List-Unsubscribe: <mailto:x@y>")},
        {"content": letter(to="undisclosed-recipients:;")},
        {"content": letter(to="joann@example.com")},
        {"content": letter(to="ann@example.com.evil.example")},
        {"content": b""},
    ],
)
def test_who_gets_no_answer(fields):
    assert answers(**fields) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"content": letter("Auto-Submitted: no")},
        {"content": letter("Cc: ANN@Example.com", to="x@y")},
        {"content": letter("Resent-To: ann@example.com", to="x@y")},
        {
            "content": letter(to="ann+news@example.com"),
            "original_recipient": "rfc822;ann+news@example.com",
        },
    ],
)
def test_who_gets_one(fields):
    assert len(answers(**fields)) == 1


def test_addresses_that_are_the_owners_too():
    content = letter(to="info@example.net")
    assert answers(content=content) == ()
    assert len(answers(Vacation("x", 1, addresses=("Info@example.net",)), content=content)) == 1


def notices(action: Notify, **fields) -> list[EmailMessage]:
    follow_up = planned(action, Keep(), **fields).follow_up
    assert follow_up is not None
    return [
        email.message_from_bytes(each.content, policy=email.policy.default)
        for each in follow_up.notices
    ]


def test_a_notice():
    (notice,) = notices(Notify("phone@example.net", "Mail!", importance="1", line=4))
    assert notice["To"] == "phone@example.net"
    assert notice["Subject"] == "New message: Lunch?"
    assert notice["Auto-Submitted"] == f'auto-notified; owner-email="{ANN}"'
    assert notice["Importance"] == "high"
    assert notice.get_content().strip() == "Mail!"


@pytest.mark.parametrize(
    ("address", "content"),
    [
        (ANN, None),
        ("nobody", None),
        ("a@b\r\nBcc: c@d", None),
        ("phone@example.net", letter("Auto-Submitted: auto-notified")),
    ],
)
def test_no_notice(address, content):
    assert notices(Notify(address, "x"), content=content) == []


def test_notices_are_bounded():
    many = tuple(Notify(f"p{n}@example.net", "x", line=n) for n in range(50))
    assert len(planned(*many, Keep()).follow_up.notices) == mailbox.MAX_NOTICES
