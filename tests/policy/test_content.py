"""What a message is, and whether its mailboxes take it."""

from dataclasses import replace

import pytest

from mta.policy import answers
from mta.policy.answers import Room
from mta.policy.decision import Stage, decide
from mta.policy.facts import ContentFacts, Facts, MailFacts, MimeMode, RcptFacts, Standing, Terms
from mta.policy.question import Answer, Unanswered
from tests.policy.situations import BOB, NO_ANSWER, POLICY, STRANGER, content, resolution

PROBLEMS = ("part 1: unknown encoding", "the boundary ends nowhere")


def mode(chosen: MimeMode):
    return replace(POLICY, terms=Terms(mime=chosen))


def test_every_problem_of_mime_has_its_line():
    decision = content(problems=PROBLEMS)
    assert decision.rule == "mime"
    lines = decision.reply.encode().decode().splitlines()
    assert len(lines) == 3
    assert all(line.startswith(("550-5.6.0 ", "550 5.6.0 ")) for line in lines)
    assert lines[1].endswith(PROBLEMS[0]) and lines[2].endswith(PROBLEMS[1])


@pytest.mark.parametrize("chosen", [MimeMode.WRAP, MimeMode.ACCEPT])
def test_other_modes_refuse_no_mime(chosen):
    assert content(mode(chosen), problems=PROBLEMS).accepted
    assert content(mode(chosen), eight_bit_header=True).accepted


def test_a_listener_has_its_own_mode():
    lenient = replace(POLICY, listeners={"smtp": {"mime": MimeMode.ACCEPT}})
    assert content(lenient, problems=PROBLEMS).accepted


def test_a_reply_about_mime_has_its_bounds():
    decision = content(problems=tuple(f"{number} " + "x" * 10_000 for number in range(500)))
    lines = decision.reply.encode().splitlines()
    assert len(lines) <= 25
    assert all(len(line) < 510 for line in lines)


def test_spam_traps():
    traps = replace(POLICY, spam_traps=frozenset({"trap@example.test"}))
    decision = content(traps, recipients=(BOB, "Trap@example.test"))
    assert (decision.rule, decision.reply.code) == ("spam_trap", 550)
    assert "trap" not in decision.reply.text.lower()
    assert content(traps, recipients=(BOB,)).accepted


def verdict(size: int, sizelimit: int = 0, quota: int = 0, answer: Answer | None = None):
    where = resolution(BOB, Standing.MAILBOX, quota=quota, sizelimit=sizelimit)
    known = {answers.mailbox_room(BOB, quota, size): answer} if answer else {}
    facts = Facts(
        STRANGER,
        mail=MailFacts(""),
        rcpt=RcptFacts(where),
        content=ContentFacts(size),
        answers=known,
    )
    return decide(Stage.VERDICT, facts, POLICY)


def test_a_mailbox_has_a_size_limit_of_its_own():
    assert verdict(1000).accepted
    assert verdict(1000, sizelimit=1000).accepted
    decision = verdict(1001, sizelimit=1000)
    assert (decision.rule, str(decision.reply)[:9]) == ("mailbox_size", "552 5.3.4")


def test_a_mailbox_that_is_full():
    decision = verdict(1000, quota=5000, answer=Answer(Room.FULL, "4500 of 5000"))
    assert (decision.rule, str(decision.reply)[:9]) == ("mailbox_quota", "452 4.2.2")
    assert verdict(1000, quota=5000, answer=Answer(Room.FITS, "10 of 5000")).accepted
    # The delivery asks again, and then the message waits here.
    assert verdict(1000, quota=5000, answer=NO_ANSWER).accepted
    with pytest.raises(Unanswered):
        verdict(1000, quota=5000)
