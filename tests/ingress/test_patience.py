"""Error budgets and the tarpit."""

import pytest

from mta.ingress.patience import DEFERRALS_ALLOWED, Patience, is_tarpitted
from mta.models import AccessRule
from mta.policy.facts import Limits, Policy, SessionFacts, Terms
from mta.protocol.reply import Reply

BAD = Reply(500, "5.5.1", "what?")
UNKNOWN = Reply(550, "5.1.1", "who?")
LATER = Reply(452, "4.5.3", "later")


def test_pauses_double_up_to_a_limit_and_begin_anew_after_a_message():
    patience = Patience()
    assert [patience.next_pause() for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    patience.accepted()
    assert patience.next_pause() == 1


def test_each_budget_is_its_own():
    limits = Limits(errors=2, refused_recipients=3)
    patience = Patience()
    patience.wrong(BAD)
    patience.refused_recipient(UNKNOWN)
    patience.refused_recipient(UNKNOWN)
    for _ in range(DEFERRALS_ALLOWED):
        patience.refused_recipient(LATER)
    assert not patience.is_over(limits)
    patience.refused_recipient(UNKNOWN)
    assert patience.is_over(limits)


def test_deferrals_are_not_without_end():
    patience = Patience()
    for _ in range(DEFERRALS_ALLOWED + 1):
        assert not patience.is_over(Limits())
        patience.wrong(LATER)
    assert patience.is_over(Limits())


@pytest.mark.parametrize(
    ("client_ip", "tarpit", "waits"),
    [("192.0.2.1", True, True), ("192.0.2.1", False, False), ("127.0.0.1", True, False)],
)
def test_who_waits(client_ip, tarpit, waits):
    policy = Policy(1, "mail.example.test", terms=Terms(tarpit=tarpit))
    assert is_tarpitted(SessionFacts(client_ip), policy) is waits


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses that were asked for; none of them takes longer than a moment."""
    asked: list[float] = []
    next_pause = Patience.next_pause

    def record(self: Patience) -> float:
        asked.append(next_pause(self))
        return 0.001

    monkeypatch.setattr(Patience, "next_pause", record)
    return asked


def test_a_client_that_pipelines_on_waits_for_every_refusal(ingress, pauses):
    AccessRule.objects.create(prefix="127.0.0.0/8", tarpit=True)
    with ingress.connect() as client:
        replies = client.commands("NOOP", "FOO", "NOOP", "BAR", "BAZ", "NOOP")
        assert [reply[:3] for reply in replies] == ["250", "500", "250", "500", "500", "250"]
        assert pauses == [1, 2, 4]
        assert client.mail("bob@example.test").startswith("250")
        client.command("FOO")
        assert pauses == [1, 2, 4, 1]


def test_programs_on_this_host_do_not_wait(ingress, pauses):
    with ingress.connect() as client:
        assert client.command("FOO").startswith("500")
    assert pauses == []


def test_nobody_else_waits_meanwhile(ingress, monkeypatch):
    AccessRule.objects.create(prefix="127.0.0.0/8", tarpit=True)
    monkeypatch.setattr(Patience, "next_pause", lambda self: 1000.0)
    with ingress.connect() as client, ingress.connect() as other:
        client.send("FOO\r\nNOOP\r\n")
        assert other.mail("bob@example.test").startswith("250")
        assert client.is_silent()
