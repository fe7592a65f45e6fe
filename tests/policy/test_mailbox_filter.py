"""Who may share a transaction, where filters that are not mandatory make the difference."""

import pytest

from mta.policy import answers
from mta.policy.answers import OwnersWord
from mta.policy.decision import Decision, Stage, decide
from mta.policy.facts import (
    Facts,
    MailboxRules,
    MailFacts,
    Policy,
    RcptFacts,
    Resolution,
    SessionFacts,
    Stance,
    Standing,
    Taking,
)
from mta.policy.mailbox_filter import owners_reply
from mta.policy.question import Answer
from mta.protocol.site_filter import FilterStage, FilterState, FilterTerms

ANN, CLIENT, SENDER = "ann@example.test", "192.0.2.1", "alice@example.org"
OPTIONAL = FilterTerms("scan", "command", FilterStage.CONTENT, FilterState.ENFORCE, mandatory=False)
MANDATORY = FilterTerms("scan", "command", FilterStage.CONTENT, FilterState.ENFORCE)
TRUSTED, JUDGED, UNRULED = (
    Stance(taking, f"{taking}@example.test", f"{taking}@example.test")
    for taking in (Taking.TRUSTED, Taking.JUDGED, Taking.UNRULED)
)


def rcpt(word: OwnersWord, company: Stance, *filters: FilterTerms, user: str = "") -> Decision:
    """RCPT for ann, whose rules say `word`, after one recipient of that stance."""
    rules = MailboxRules(ANN, judges_senders=True)
    resolution = Resolution(ANN, Standing.MAILBOX, (ANN,), rules=rules)
    question = answers.mailbox_sender(ANN, ANN, SENDER, CLIENT, "")
    facts = Facts(
        SessionFacts(CLIENT, auth_user=user),
        mail=MailFacts(SENDER),
        rcpt=RcptFacts(resolution, 1, company=(company,)),
        answers={question: Answer(word, "a rule")},
    )
    policy = Policy(1, "mail.example.test", site_filters=filters, suppress_backscatter=False)
    return decide(Stage.RCPT, facts, policy)


@pytest.mark.parametrize(
    ("word", "company", "filters", "code"),
    [
        (OwnersWord.TAKE, JUDGED, [OPTIONAL], 412),
        (OwnersWord.JUDGE, TRUSTED, [OPTIONAL], 412),
        (OwnersWord.TAKE, JUDGED, [MANDATORY], 250),
        (OwnersWord.TAKE, JUDGED, [], 250),
        (OwnersWord.TAKE, TRUSTED, [OPTIONAL], 250),
        (OwnersWord.JUDGE, JUDGED, [OPTIONAL], 250),
        (OwnersWord.TAKE, UNRULED, [OPTIONAL], 250),
        (OwnersWord.JUDGE, UNRULED, [OPTIONAL], 250),
    ],
)
def test_who_is_kept_apart(word, company, filters, code):
    decision = rcpt(word, company, *filters)
    assert decision.reply.code == code
    assert (decision.rule == "mailbox_filter_class") is (code == 412)


def test_a_user_is_never_told_to_come_again():
    assert rcpt(OwnersWord.TAKE, JUDGED, OPTIONAL, user="bob@example.test").accepted


def test_what_is_not_answered_is_later():
    assert rcpt("trouble", UNRULED).reply.code == 451  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("", "550 5.7.1 not permitted"),
        (" \r\n ", "550 5.7.1 not permitted"),
        ("554", "554 5.7.1 not permitted"),
        ("550-5.2.1 one\n550 5.2.1 two", "550 5.2.1 one two"),
        # A status that contradicts the code is only text.
        ("550 4.2.1 no", "550 5.7.1 4.2.1 no"),
        ("5500 pounds", "550 5.7.1 5500 pounds"),
        ("٤٥٠ later", "550 5.7.1 ??? later"),
    ],
)
def test_owners_texts_as_replies(text, reply):
    assert str(owners_reply(text, utf8=False)) == reply


def test_a_client_of_utf8_hears_it_as_it_was_written():
    assert owners_reply("größer", utf8=True).text == "größer"
