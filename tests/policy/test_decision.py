"""decide(), stage by stage and rule by rule, with its trace."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mta.policy.decision import RULES, Stage, Verdict, decide
from mta.policy.facts import (
    Access,
    AuthFacts,
    ContentFacts,
    Facts,
    Limits,
    MailFacts,
    Policy,
    RcptFacts,
    Resolution,
    RuleState,
    SessionFacts,
    Standing,
    Terms,
    UserFacts,
)

# What asks the DNS or the directory has tests of its own.
POLICY = Policy(
    version=7,
    hostname="mail.example.test",
    terms=Terms(checkdns=False),
    suppress_backscatter=False,
)
CLIENT = SessionFacts(client_ip="192.0.2.9", helo="client.example.org")
USER = replace(CLIENT, auth_user="bob@example.test", tls="TLSv1.3")


def access(prefix: str, *, allow: bool = True, relay: bool = False, text: str = "") -> Access:
    return Access(ip_network(prefix), allow, relay, text)


def policy(*rules: Access, **fields) -> Policy:
    """A policy with these access rules, in the order in which the directory gives them."""
    ordered = tuple(sorted(rules, key=lambda rule: -rule.network.prefixlen))
    return replace(POLICY, access=ordered, **fields)


def rcpt(standing: Standing, session: SessionFacts = CLIENT, earlier: int = 0) -> Facts:
    resolution = Resolution("x@y.example", standing, ("x@y.example",), ("because",))
    return Facts(session, mail=MailFacts(""), rcpt=RcptFacts(resolution, earlier))


def content(**fields) -> Facts:
    return Facts(CLIENT, mail=MailFacts("a@b.example"), content=ContentFacts(100, **fields))


def test_a_decision_says_how_it_came_about():
    decision = decide(Stage.RCPT, rcpt(Standing.UNKNOWN), POLICY)
    assert (decision.verdict, decision.rule, decision.version) == (
        Verdict.REFUSE,
        "unknown_here",
        7,
    )
    assert str(decision.reply) == "550 5.1.1 <x@y.example>: no such user here"
    assert [(step.rule, step.matched) for step in decision.steps] == [
        ("too_many_recipients", False),
        ("blocked_network", False),
        ("dns_lists", False),
        ("backscatter", False),
        ("site_filter_recipient", False),
        ("mailbox", False),
        ("alias", False),
        ("srs", False),
        ("uucp_neighbour", False),
        ("backup_domain", False),
        ("unknown_here", True),
    ]
    assert all(step.detail for step in decision.steps)


def test_a_stage_without_an_answer_is_accepted_and_every_rule_is_in_the_trace():
    for stage in (Stage.CONNECT, Stage.HELO, Stage.MAIL, Stage.CONTENT):
        facts = content()
        decision = decide(stage, facts, POLICY)
        assert (decision.verdict, decision.rule, decision.accepted) == (
            Verdict.ACCEPT,
            "default",
            True,
        )
        assert [step.rule for step in decision.steps] == [rule.__name__ for rule in RULES[stage]]


def test_every_rule_has_a_name_of_its_own_and_says_what_it_is_for():
    for rules in RULES.values():
        assert len({rule.__name__ for rule in rules}) == len(rules)
        assert all(rule.__doc__ for rule in rules)


# Three rules for networks inside each other: the longest prefix alone counts.
NESTED = policy(
    access("10.0.0.0/8", relay=True), access("10.1.0.0/16"), access("10.1.2.0/24", allow=False)
)


@pytest.mark.parametrize(
    ("client_ip", "connect", "relays"),
    [
        ("10.9.9.9", Verdict.ACCEPT, True),
        ("10.1.9.9", Verdict.ACCEPT, False),
        ("10.1.2.3", Verdict.REFUSE, False),
        ("192.0.2.9", Verdict.ACCEPT, False),
        ("::1", Verdict.ACCEPT, False),
        ("127.0.0.1", Verdict.ACCEPT, False),
    ],
)
def test_the_longest_prefix_alone_counts(client_ip, connect, relays):
    session = replace(CLIENT, client_ip=client_ip)
    assert decide(Stage.CONNECT, Facts(session), NESTED).verdict is connect
    relay = decide(Stage.RCPT, rcpt(Standing.FOREIGN, session), NESTED)
    assert relay.accepted is relays


def test_a_denied_network_reads_the_text_of_its_rule():
    denied = policy(access("2001:db8::/32", allow=False, text="no thanks"))
    session = replace(CLIENT, client_ip="2001:db8::5")
    decision = decide(Stage.CONNECT, Facts(session), denied)
    assert str(decision.reply) == "554 5.7.1 no thanks"
    mail = decide(Stage.MAIL, Facts(session, mail=MailFacts("")), denied)
    assert mail.rule == "denied_network"


def test_a_denied_network_does_not_relay_even_with_a_grant():
    both = policy(access("192.0.2.0/24", allow=False, relay=True))
    assert not decide(Stage.RCPT, rcpt(Standing.FOREIGN), both).accepted


def test_no_network_relays_by_default_and_users_do():
    for client_ip in ("127.0.0.1", "::1", "192.0.2.9", ""):
        session = replace(CLIENT, client_ip=client_ip)
        decision = decide(Stage.RCPT, rcpt(Standing.FOREIGN, session), POLICY)
        assert (decision.rule, decision.reply.code) == ("denied", 550)
    assert decide(Stage.RCPT, rcpt(Standing.FOREIGN, USER), POLICY).rule == "authenticated_user"


@pytest.mark.parametrize(
    ("standing", "rule", "reply"),
    [
        (Standing.MAILBOX, "mailbox", "250 2.1.5"),
        (Standing.ALIAS, "alias", "250 2.1.5"),
        (Standing.BACKUP, "backup_domain", "250 2.1.5"),
        (Standing.UUCP, "uucp_neighbour", "250 2.1.5"),
        (Standing.DISABLED, "mailbox", "550 5.2.1"),
        (Standing.LOOP, "alias", "550 5.4.6"),
        (Standing.UNKNOWN, "unknown_here", "550 5.1.1"),
        (Standing.RETURN_PATH, "srs", "250 2.1.5"),
        (Standing.BAD_RETURN_PATH, "srs", "550 5.1.1 <x@y.example>: because"),
        (Standing.FOREIGN, "denied", "550 5.7.1"),
    ],
)
def test_where_a_recipient_stands(standing, rule, reply):
    decision = decide(Stage.RCPT, rcpt(standing), POLICY)
    assert decision.rule == rule
    assert str(decision.reply).startswith(reply)


def test_authentication_does_not_make_a_user_of_nobody():
    assert not decide(Stage.RCPT, rcpt(Standing.UNKNOWN, USER), POLICY).accepted


@pytest.mark.parametrize(
    ("session", "earlier", "verdict"),
    [
        (CLIENT, 99, Verdict.ACCEPT),
        (CLIENT, 100, Verdict.DEFER),
        (USER, 100, Verdict.ACCEPT),
        (USER, 999, Verdict.ACCEPT),
        (USER, 1000, Verdict.DEFER),
    ],
)
def test_recipients(session, earlier, verdict):
    decision = decide(Stage.RCPT, rcpt(Standing.MAILBOX, session, earlier), POLICY)
    assert decision.verdict is verdict
    if verdict is Verdict.DEFER:
        assert str(decision.reply).startswith("452 4.5.3")


def test_recipients_beyond_a_hard_limit_fail():
    hard = replace(POLICY, limits=Limits(recipients=2, recipients_hard=True))
    decision = decide(Stage.RCPT, rcpt(Standing.MAILBOX, CLIENT, 2), hard)
    assert str(decision.reply).startswith("550 5.5.3")
    assert decide(Stage.RCPT, rcpt(Standing.MAILBOX, CLIENT, 1), hard).accepted


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"same_address": 20, "same_network": 60, "all_connections": 1000}, "default"),
        ({"same_address": 21}, "connections_per_address"),
        ({"same_network": 61}, "connections_per_network"),
        ({"all_connections": 1001}, "all_connections"),
        ({"new_connections": 60}, "default"),
        ({"new_connections": 61}, "new_connections"),
        ({"client_ip": "127.0.0.1", "new_connections": 500}, "default"),
        ({"client_ip": "127.0.0.1", "same_address": 500, "same_network": 500}, "default"),
        ({"client_ip": "::1", "same_address": 500, "same_network": 500}, "default"),
        ({"client_ip": "127.0.0.1", "all_connections": 1001}, "all_connections"),
    ],
)
def test_connections(fields, rule):
    decision = decide(Stage.CONNECT, Facts(replace(CLIENT, **fields)), POLICY)
    assert decision.rule == rule
    assert decision.reply.code == (220 if rule == "default" else 421)


def test_no_limit_on_connections():
    none = replace(
        POLICY,
        terms=Terms(maxperip=0),
        limits=Limits(connections_per_network=0, connections=0, new_connections_per_address=0),
    )
    crowd = replace(
        CLIENT,
        same_address=10**6,
        same_network=10**6,
        all_connections=10**6,
        new_connections=10**6,
    )
    assert decide(Stage.CONNECT, Facts(crowd), none).accepted


@pytest.mark.parametrize(
    ("mail", "reply"),
    [
        (MailFacts(""), "250 2.1.0"),
        (MailFacts("a@b.example", declared_size=50 * 1024 * 1024), "250 2.1.0"),
        (MailFacts("a@b.example", declared_size=50 * 1024 * 1024 + 1), "552 5.3.4"),
        (MailFacts("ä@b.example"), "553 5.6.7"),
        (MailFacts("ä@b.example", smtputf8=True), "250 2.1.0"),
    ],
)
def test_mail(mail, reply):
    assert str(decide(Stage.MAIL, Facts(CLIENT, mail=mail), POLICY).reply).startswith(reply)


def test_submission_is_for_users():
    strict = replace(CLIENT, listener="submission", auth_required=True)
    facts = Facts(strict, mail=MailFacts("a@b.example"))
    assert str(decide(Stage.MAIL, facts, POLICY).reply) == "530 5.7.0 authentication required"
    user = Facts(
        replace(strict, auth_user="bob@example.test"),
        mail=MailFacts("bob@example.test", user=UserFacts("bob@example.test")),
    )
    assert decide(Stage.MAIL, user, POLICY).accepted


@pytest.mark.parametrize(
    ("client_ip", "tls", "allowed", "code"),
    [
        ("192.0.2.9", "TLSv1.3", False, 235),
        ("192.0.2.9", "", False, 538),
        ("192.0.2.9", "", True, 538),
        ("127.0.0.1", "", False, 538),
        ("127.0.0.1", "", True, 235),
        ("::1", "", True, 235),
        ("", "", True, 538),
    ],
)
def test_passwords_in_clear(client_ip, tls, allowed, code):
    facts = Facts(
        replace(CLIENT, client_ip=client_ip, tls=tls), auth=AuthFacts("PLAIN", "bob", accepted=True)
    )
    decision = decide(Stage.AUTH, facts, replace(POLICY, auth_in_clear_on_loopback=allowed))
    assert decision.reply.code == code


def test_wrong_credentials():
    facts = Facts(replace(CLIENT, tls="TLSv1.3"), auth=AuthFacts("LOGIN", "", accepted=False))
    decision = decide(Stage.AUTH, facts, POLICY)
    assert str(decision.reply) == "535 5.7.8 authentication failed"
    assert "nobody" in decision.steps[-1].detail


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"hops": 50, "header_size": 128 * 1024, "longest_line": 64 * 1024}, "default"),
        ({"hops": 51}, "hops"),
        ({"header_size": 128 * 1024 + 1}, "header_size"),
        ({"header_lines": 1000}, "default"),
        ({"header_lines": 1001}, "header_lines"),
        ({"longest_line": 64 * 1024 + 1}, "line_length"),
        ({"bare_line_ends": True}, "line_ends"),
        ({"eight_bit_header": True}, "eight_bit_header"),
    ],
)
def test_content(fields, rule):
    decision = decide(Stage.CONTENT, content(**fields), POLICY)
    assert decision.rule == rule
    assert decision.accepted is (rule == "default")


def test_size_of_the_content():
    small = replace(POLICY, terms=Terms(sizelimit=99))
    assert decide(Stage.CONTENT, content(), small).rule == "size"


def test_eight_bit_headers_with_smtputf8():
    facts = replace(content(eight_bit_header=True), mail=MailFacts("", smtputf8=True))
    assert decide(Stage.CONTENT, facts, POLICY).accepted


@pytest.mark.parametrize(
    ("state", "accepted", "logged"),
    [(RuleState.ENFORCE, False, []), (RuleState.LOG, True, [550]), (RuleState.OFF, True, [])],
)
def test_an_optional_rule_is_off_only_logs_or_decides(state, accepted, logged):
    chosen = replace(
        POLICY, bad_senders=frozenset({"a@b.example"}), rule_states={"bad_sender": state}
    )
    decision = decide(Stage.MAIL, Facts(CLIENT, mail=MailFacts("a@b.example")), chosen)
    assert decision.accepted is accepted
    assert [step.reply.code for step in decision.logged if step.reply] == logged
    assert "bad_sender" in [step.rule for step in decision.steps]


def test_a_rule_that_is_not_optional_cannot_be_switched_off():
    off = {rule.__name__: RuleState.OFF for rules in RULES.values() for rule in rules}
    careless = replace(POLICY, rule_states=off)
    assert decide(Stage.RCPT, rcpt(Standing.FOREIGN), careless).rule == "denied"
    assert decide(Stage.RCPT, rcpt(Standing.UNKNOWN), careless).rule == "unknown_here"
    submission = replace(CLIENT, listener="submission", auth_required=True)
    mail = Facts(submission, mail=MailFacts("a@b.example"))
    assert decide(Stage.MAIL, mail, careless).rule == "authentication_required"
