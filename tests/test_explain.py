"""What explain says is what a session gets, and explaining leaves no trace."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from deploy import certificate
from mta.explain import as_received, explain
from mta.explanation import BadRequest, Explanation, Request, as_json
from mta.ingress import process
from mta.models import (
    AccessRule,
    AddressTrouble,
    Alias,
    BadSender,
    Domain,
    Event,
    Listener,
    Mailbox,
    Message,
    Refusal,
    Route,
    RuleState,
    Settings,
    SiteFilter,
)
from mta.policy.decision import Stage, Verdict
from tests.support.smtp_session import Ingress, disconnect_others, running_ingress

PASSWORD = "correct horse"
HELO = "client.example.org"
LETTER = b"From: a@b.example\r\nTo: x@y.example\r\nSubject: x\r\n\r\nhello\r\n"


@pytest.fixture
def town(transactional_db, settings) -> Iterator[Domain]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    password = make_password(PASSWORD)
    here = Domain.objects.create(name="example.test")
    Domain.objects.create(name="backup.example", kind=Domain.Kind.BACKUP)
    for name in ("bob", "ann", "dora"):
        Mailbox.objects.create(
            domain=here, local_part=name, password=password, enabled=name != "dora"
        )
    Alias.objects.create(name="team@example.test", targets=["ann@example.test", "bob@example.test"])
    Alias.objects.create(name="away@example.test", targets=["friend@elsewhere.example"])
    Route.objects.create(domain="elsewhere.example", relay="[192.0.2.25]", port=2525)
    # The sender's domain is not what is tried here, and there is no DNS.
    row = Settings.load()
    row.checkdns = False
    row.tarpit = False
    row.save()
    yield here
    disconnect_others()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate.ensure(folder, "mail.example.test")
    return process.tls_context(str(folder / "cert.pem"), str(folder / "key.pem"))


@pytest.fixture
def ingress(town, tls) -> Iterator[Ingress]:
    with running_ingress(tls) as running:
        yield running


@dataclass(frozen=True)
class Case:
    sender: str
    recipients: tuple[str, ...]
    content: bytes | None = None
    listener: str = "smtp"
    user: str = ""

    def request(self) -> Request:
        return Request(
            client_ip="127.0.0.1",
            reverse_path=self.sender,
            recipients=self.recipients,
            helo=HELO,
            listener=self.listener,
            tls=bool(self.user),
            auth_user=self.user,
            content=self.content,
        )


CASES = {
    "a mailbox": Case("a@b.example", ("bob@example.test",)),
    "a mailbox and its message": Case("a@b.example", ("bob@example.test",), LETTER),
    "nobody": Case("a@b.example", ("nobody@example.test",)),
    "a disabled mailbox": Case("a@b.example", ("dora@example.test",)),
    "a foreign domain": Case("a@b.example", ("x@elsewhere.example",)),
    "a backup domain": Case("", ("x@backup.example",)),
    "some of several": Case(
        "a@b.example", ("nobody@example.test", "team@example.test", "x@y.example"), LETTER
    ),
    "a bad sender": Case("a b@c", ("bob@example.test",)),
    "a bad recipient": Case("a@b.example", ("@", "bob@example.test")),
    "the postmaster": Case("a@b.example", ("postmaster",)),
    "submission without a user": Case("a@b.example", ("bob@example.test",), None, "submission"),
    "a user who sends abroad": Case(
        "bob@example.test", ("x@elsewhere.example",), LETTER, "submission", "bob@example.test"
    ),
    "a bare line feed": Case("a@b.example", ("bob@example.test",), LETTER + b"one\ntwo\r\n"),
    "too many hops": Case("a@b.example", ("bob@example.test",), b"Received: x\r\n" * 60 + LETTER),
    "an 8-bit header": Case(
        "a@b.example", ("bob@example.test",), b"Subject: \xc3\xa4\r\n" + LETTER
    ),
}


def told(ingress: Ingress, case: Case) -> list[str]:
    """The replies of a real session: MAIL, each RCPT, the end of DATA."""
    with ingress.connect(case.listener, greet=False) as client:
        client.reply()
        client.command(f"EHLO {HELO}")
        if case.user:
            if case.listener == "submission":
                client.starttls()
                client.command(f"EHLO {HELO}")
            assert client.login(case.user, PASSWORD).startswith("235")
        replies = [client.command(f"MAIL FROM:<{case.sender}>")]
        if replies[0].startswith("250"):
            replies += [client.command(f"RCPT TO:<{each}>") for each in case.recipients]
        if case.content is not None and any(reply.startswith("250") for reply in replies[1:]):
            assert client.command("DATA").startswith("354")
            client.send(case.content + b".\r\n")
            replies.append(client.reply())
        return replies


def foretold_with_verdicts(explanation: Explanation) -> list[str]:
    return foretold(explanation, (Stage.MAIL, Stage.RCPT, Stage.CONTENT, Stage.VERDICT))


def foretold(
    explanation: Explanation, stages: tuple[Stage, ...] = (Stage.MAIL, Stage.RCPT, Stage.CONTENT)
) -> list[str]:
    decisions = [passage.decision for passage in explanation.passages]
    return [
        decision.reply.encode().decode().strip().replace("\r\n", "\n")
        for decision in decisions
        if decision.stage in stages
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_session_is_told_what_was_foretold(ingress, case):
    expected = told(ingress, case)
    explained = foretold(explain(case.request()))
    if case.content is not None and expected[-1].startswith("250"):
        # An accepted message has a queue id, which nothing foretells.
        assert explained.pop().startswith("250")
        assert "queued" in expected.pop()
    assert explained == expected


@pytest.mark.parametrize("action", ["deny", "block"])
def test_a_network_that_is_not_wanted(ingress, action):
    AccessRule.objects.create(prefix="127.0.0.0/8", action=action, text="go away")
    case = CASES["a mailbox"]
    with ingress.connect(greet=False) as client:
        banner = client.reply()
    explanation = explain(case.request())
    connect = explanation.passages[0].decision
    assert connect.accepted == banner.startswith("220")
    if not connect.accepted:
        assert str(connect.reply) == banner
        assert len(explanation.passages) == 1
    else:
        assert foretold(explanation) == told(ingress, case)


def test_the_smallest_limit_counts(ingress):
    Listener.objects.create(name="smtp", sizelimit=2000)
    case = Case("a@b.example", ("bob@example.test",), LETTER + b"x" * 70 * 30 + b"\r\n")
    assert foretold(explain(case.request())) == told(ingress, case)


def test_recipients_may_differ_about_a_content(ingress):
    Mailbox.objects.filter(local_part="bob").update(sizelimit=1024)
    letter = LETTER + b"x" * 70 * 30 + b"\r\n"
    alone = Case("a@b.example", ("bob@example.test",), letter)
    assert foretold_with_verdicts(explain(alone.request()))[-1] == told(ingress, alone)[-1]
    both = Case("a@b.example", ("ann@example.test", "bob@example.test"), letter)
    assert "queued" in told(ingress, both)[-1]
    explanation = explain(both.request())
    assert explanation.verdict is Verdict.ACCEPT
    states = {row.address: row.state for row in explanation.destinations}
    assert states == {"ann@example.test": "queued", "bob@example.test": "failed"}


def test_an_answer_that_was_used_is_shown(ingress):
    AddressTrouble.objects.create(
        address="friend@elsewhere.example", permanent=True, reply="550 no", at=timezone.now()
    )
    case = Case("a@b.example", ("away@example.test",))
    stages = as_json(explain(replace(case.request(), client_ip="203.0.113.9")))["stages"]
    (rcpt,) = [stage for stage in stages if stage["stage"] == "rcpt"]
    (answer,) = [each for each in rcpt["answers"] if each["subject"] == "address_trouble"]
    assert answer["about"] == ["friend@elsewhere.example"]
    assert answer["word"] != "trouble"
    assert answer["seconds"] >= 0
    assert (rcpt["rule"], rcpt["verdict"]) == ("backscatter", "refuse")
    assert foretold(explain(case.request())) == told(ingress, case)


def test_an_answer_is_shown_wherever_it_is_used(town):
    AddressTrouble.objects.create(
        address="friend@elsewhere.example", permanent=True, reply="550 no", at=timezone.now()
    )
    request = Request("203.0.113.9", "a@b.example", ("away@example.test",) * 2)
    stages = as_json(explain(request))["stages"]
    for rcpt in (stage for stage in stages if stage["stage"] == "rcpt"):
        assert [answer["subject"] for answer in rcpt["answers"]] == ["address_trouble"]


def test_a_rule_that_only_logs_is_told_apart(ingress):
    BadSender.objects.create(pattern="@b.example")
    case = CASES["a mailbox"]
    assert foretold(explain(case.request())) == told(ingress, case)
    RuleState.objects.create(rule="bad_sender", state="log")
    explanation = as_json(explain(case.request()))
    steps = [step for stage in explanation["stages"] for step in stage["steps"]]
    (logged,) = [step for step in steps if step["log_only"]]
    assert logged["rule"] == "bad_sender"
    assert logged["reply"].startswith("5")
    assert explanation["verdict"] == "accept"
    assert told(ingress, case)[-1].startswith("250")


def test_nothing_is_left_behind(town):
    for case in CASES.values():
        explain(case.request())
    for model in (Message, Event, Refusal):
        assert not model.objects.exists()


def test_the_way_of_each_recipient_is_told(town):
    recipients = ("team@example.test", "away@example.test", "x@backup.example")
    explanation = as_json(explain(Request("203.0.113.9", "a@b.example", recipients)))
    ways = {row["address"]: (row["transport"], row["nexthop"]) for row in explanation["recipients"]}
    assert ways == {
        "ann@example.test": ("local", ""),
        "bob@example.test": ("local", ""),
        "friend@elsewhere.example": ("esmtp", "relay:[192.0.2.25]:2525"),
        "x@backup.example": ("esmtp", "mx:backup.example"),
        "team@example.test": ("", ""),
    }
    assert [row["route"] for row in explanation["recipients"] if row["route"]] == [
        "elsewhere.example: [192.0.2.25]:2525"
    ]
    expansions = [stage["expansion"] for stage in explanation["stages"] if stage["expansion"]]
    assert expansions[0]["is_list"]
    assert expansions[0]["targets"] == ["ann@example.test", "bob@example.test"]
    assert "stands for" in expansions[1]["steps"][0]


def test_the_route_of_a_sender_is_told_with_its_reason(town):
    Route.objects.create(domain="*", relay="smart.example", port=587)
    Route.objects.create(domain="*", sender="partner.example", relay="[192.0.2.7]")
    for sender, route in {
        "a@b.example": "*: smart.example:587",
        "a@partner.example": "*: (for mail from partner.example): [192.0.2.7]:25",
    }.items():
        (row,) = as_json(explain(Request("203.0.113.9", sender, ("x@backup.example",))))[
            "recipients"
        ]
        assert row["route"] == route.replace("*: (", "* (")


def test_each_rule_says_why(town):
    stages = as_json(explain(Request("::ffff:203.0.113.9", "a@b.example", ("x@y.example",))))
    assert stages["request"]["client_ip"] == "203.0.113.9"
    (rcpt,) = [stage for stage in stages["stages"] if stage["stage"] == "rcpt"]
    assert rcpt["verdict"] == "refuse"
    last = rcpt["steps"][-1]
    assert (last["rule"], last["matched"]) == ("denied", True)
    assert all(step["detail"] for step in rcpt["steps"])


def test_a_session_without_mail_ends_after_the_greeting(town):
    explanation = explain(Request("203.0.113.9"))
    assert [passage.decision.stage for passage in explanation.passages] == [
        Stage.CONNECT,
        Stage.HELO,
    ]
    assert explanation.verdict is Verdict.ACCEPT


def test_a_change_is_seen_at_once(town):
    request = Request("203.0.113.9", "a@b.example", ("x@y.example",))
    before = explain(request)
    AccessRule.objects.create(prefix="203.0.113.0/24", relay=True)
    after = explain(request)
    assert (before.verdict, after.verdict) == (Verdict.REFUSE, Verdict.ACCEPT)
    assert after.policy_version > before.policy_version


@pytest.mark.parametrize(
    "request_",
    [
        Request("", "a@b.example"),
        Request("mail.example.org", "a@b.example"),
        Request("203.0.113.9/24", "a@b.example"),
        Request("203.0.113.9", "a@b.example", listener="imap"),
        Request("203.0.113.9", "a@b.example", ("x@y.example",) * 1001),
    ],
)
def test_what_cannot_be_meant_is_said(request_):
    with pytest.raises(BadRequest):
        explain(request_)


@pytest.mark.parametrize("text", ["\0", "<", "a@b\r\nRSET", "<<>>", "ü@ü.example", "x" * 5000])
def test_rubbish_is_a_refusal_and_no_error(town, text):
    for request in (
        Request("203.0.113.9", text, ("bob@example.test",)),
        Request("203.0.113.9", "a@b.example", (text,)),
        Request("203.0.113.9", "a@b.example", helo=text),
        Request("203.0.113.9", "a@b.example", auth_user=text),
    ):
        assert explain(request).passages


def test_a_file_has_the_line_ends_of_its_system():
    assert as_received(b"a: b\n\nc") == b"a: b\r\n\r\nc\r\n"
    assert as_received(b"a: b\r\n\r\nc\nd\r\n") == b"a: b\r\n\r\nc\nd\r\n"
    assert as_received(b"") == b"\r\n"


def test_it_tells_which_site_filters_would_be_asked_and_asks_none(town):
    for stage in ("connect", "sender", "recipient", "content"):
        text = 'require "reject"; reject "no";'
        SiteFilter.objects.create(
            name=f"at-{stage}", kind="sieve", stage=stage, state="enforce", text=text
        )
    told = explain(
        Request(
            "192.0.2.1",
            reverse_path="alice@example.org",
            recipients=("bob@example.test",),
            content=b"Subject: x\n\nx\n",
        )
    )
    assert told.verdict is Verdict.ACCEPT
    steps = [step for passage in told.passages for step in passage.decision.steps]
    named = {step.rule: step.detail for step in steps if step.rule.startswith("site_filter:")}
    assert named == {
        f"site_filter:at-{stage}": "sieve not asked: it would be asked here"
        for stage in ("connect", "sender", "recipient", "content")
    }
