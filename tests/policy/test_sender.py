"""Who may send as whom, and what a session must have before MAIL."""

from dataclasses import replace

import pytest

from mta.policy.facts import RuleState, Standing, Terms, UserFacts
from tests.policy.situations import BOB, LOCAL_PROGRAM, POLICY, STRANGER, USER, mail, resolution

WITHOUT_DNS = replace(POLICY, terms=Terms(checkdns=False))


def as_bob(reverse_path: str, *grants: str, **fields):
    user = UserFacts(BOB, may_send_as=grants)
    return mail(reverse_path, WITHOUT_DNS, session=USER, user=user, **fields)


@pytest.mark.parametrize("reverse_path", [BOB, "Bob@example.test", ""])
def test_a_user_sends_as_itself_and_reports_as_nobody(reverse_path):
    assert as_bob(reverse_path).accepted


@pytest.mark.parametrize("reverse_path", ["ann@example.test", "bob@elsewhere.example"])
def test_a_user_does_not_send_as_others(reverse_path):
    decision = as_bob(reverse_path)
    assert decision.rule == "sender_login"
    assert str(decision.reply).startswith("553 5.7.1")


def test_an_alias_of_the_user_alone_is_its_own_address():
    sales = resolution("sales@example.test", Standing.ALIAS, BOB)
    assert as_bob("sales@example.test", sender=sales).accepted
    team = resolution("team@example.test", Standing.ALIAS, "ann@example.test", BOB, is_list=True)
    assert not as_bob("team@example.test", sender=team).accepted
    hers = resolution("ann@example.test", Standing.MAILBOX)
    assert not as_bob("ann@example.test", sender=hers).accepted


@pytest.mark.parametrize(
    ("grant", "reverse_path", "accepted"),
    [
        ("ann@example.test", "ann@example.test", True),
        ("@partner.example", "anyone@partner.example", True),
        ("@.partner.example", "x@sub.partner.example", True),
        ("*", "anyone@anywhere.example", True),
        ("@partner.example", "x@sub.partner.example", False),
        ("ann@example.test", "carl@example.test", False),
    ],
)
def test_grants(grant, reverse_path, accepted):
    assert as_bob(reverse_path, grant).accepted is accepted


def test_a_grant_brings_no_user_back():
    gone = UserFacts(BOB, enabled=False, may_send_as=("*",))
    assert mail(BOB, WITHOUT_DNS, session=USER, user=gone).rule == "user_disabled"


def test_the_rule_may_only_log():
    logs = replace(WITHOUT_DNS, rule_states={"sender_login": RuleState.LOG})
    decision = mail("ann@example.test", logs, session=USER)
    assert decision.accepted
    assert [step.rule for step in decision.logged] == ["sender_login"]


def test_strangers_have_no_login_to_compare():
    assert mail("a@b.example", WITHOUT_DNS).accepted


def test_no_mail_in_clear_where_tls_is_required():
    strict = replace(WITHOUT_DNS, terms=Terms(checkdns=False, tls_required=True))
    decision = mail("a@b.example", strict)
    assert (decision.rule, str(decision.reply)[:9]) == ("tls_required", "530 5.7.0")
    assert mail("a@b.example", strict, session=replace(STRANGER, tls="TLSv1.3")).accepted
    assert mail("a@b.example", strict, session=LOCAL_PROGRAM).accepted
    listener = replace(WITHOUT_DNS, listeners={"smtp": {"tls_required": True}})
    assert mail("a@b.example", listener).rule == "tls_required"
