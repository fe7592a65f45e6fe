"""Site filters as a client meets them: every action, at each stage, in each state."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mta.filters import chain
from mta.filters.base import Trouble
from mta.models import Content, Event, Message, Recipient, Refusal, SiteFilter
from mta.protocol.reply import Reply
from mta.protocol.site_filter import FilterAction, FilterRequest, FilterVerdict
from mta.queue import timeline
from tests.ingress.conftest import PASSWORD
from tests.support.filter_kinds import Kinds, Told
from tests.support.smtp_session import SECONDS, Client, Ingress
from tests.support.waiting import eventually

NO = Reply(550, "5.7.1", "we do not want this")
LATER = Reply(450, "4.7.1", "not now")
BODY = b"Subject: hello\r\n\r\nworld\r\n"
ANN, BOB = "ann@example.test", "bob@example.test"


@pytest.fixture
def kinds(ingress: Ingress) -> Kinds:
    known = Kinds()

    async def run(terms: Any, request: Any, **others: Any) -> Any:
        return await chain.run(terms, request, kinds=known, **others)

    ingress.house.filters = run
    return known


@pytest.fixture
def told(kinds: Kinds) -> Callable[..., Told]:
    """A filter of the name `test` that says this; the other values are those of its row."""

    def told(said: FilterVerdict | Exception, **values: Any) -> Told:
        def judge(request: FilterRequest, _: object) -> FilterVerdict:
            if isinstance(said, Exception):
                raise said
            return said

        row(kind="told", **values)
        return kinds.add("told", judge)

    return told


def row(name: str = "test", **values: Any) -> SiteFilter:
    filled = {"kind": "sieve", "state": "enforce", **values}
    return SiteFilter.objects.create(name=name, **filled)


def mail(client: Client, *recipients: str, parameters: str = "") -> list[str]:
    """The replies to a whole message, the last ones to the end of DATA."""
    replies = [client.command(f"MAIL FROM:<alice@example.org> {parameters}".rstrip())]
    replies += [client.command(f"RCPT TO:<{each}>") for each in recipients or (ANN,)]
    replies.append(client.command("DATA"))
    if not replies[-1].startswith("354"):
        return replies
    client.send(BODY + b".\r\nNOOP\r\n")
    while replies[-1] != "250 2.0.0 Ok":
        replies.append(client.reply())
    return replies[:-1]


def sent(ingress: Ingress, *recipients: str, parameters: str = "") -> str:
    """The last reply to a message of a stranger."""
    with ingress.connect() as client:
        return mail(client, *recipients, parameters=parameters)[-1]


def states() -> dict[str, tuple[str, str]]:
    fields = ("address", "state", "last_reply")
    return {each: (state, reply) for each, state, reply in Recipient.objects.values_list(*fields)}


def refusal(**values: Any) -> Refusal:
    return eventually(lambda: Refusal.objects.filter(**values).first())


def told_in_the_timeline() -> list[str]:
    (event,) = Event.objects.filter(kind="accepted")
    steps = [step for each in event.data["decisions"] for step in each["steps"]]
    return [step["rule"] for step in steps if step["rule"].startswith("site_filter:")]


# --- the content ----------------------------------------------------------------------------------


def test_without_a_filter_nothing_is_asked(ingress, kinds):
    async def never(*_: object, **__: object) -> None:
        raise AssertionError

    ingress.house.filters = never
    assert sent(ingress).startswith("250 2.0.0 Ok: queued as")


def test_a_filter_that_passes_is_told_all_of_the_session(ingress, told):
    kind = told(FilterVerdict(detail="nothing to say"))
    reply = sent(ingress, ANN, BOB)
    assert reply.startswith("250 2.0.0 Ok: queued as")
    (asked,) = kind.asked
    assert (asked.client_ip, asked.helo, asked.listener) == (
        "127.0.0.1",
        "client.example.org",
        "smtp",
    )
    assert (asked.reverse_path, asked.recipients) == ("alice@example.org", (ANN, BOB))
    assert asked.queue_id == reply.rpartition(" ")[2]
    assert asked.content == bytes(Content.objects.get().data)
    assert told_in_the_timeline() == ["site_filter:test"]


@pytest.mark.parametrize("reply", [NO, LATER])
def test_a_refusal_is_the_client_s_and_names_the_filter(ingress, told, reply):
    told(FilterVerdict(FilterAction.REFUSE, reply, "a bad word"))
    assert sent(ingress) == str(reply)
    assert not Message.objects.exists()
    record = refusal(stage="content")
    assert (record.rule, record.code, record.enforced) == ("site_filter:test", reply.code, True)
    assert record.trace[-1]["rule"] == "site_filter:test"
    assert record.trace[-1]["detail"].startswith("told says refuse after ")
    assert record.trace[-1]["detail"].endswith(" ms: a bad word")


def test_what_is_only_logged_is_on_record_and_accepted(ingress, told):
    told(FilterVerdict(FilterAction.REFUSE, NO), state="log")
    assert sent(ingress).startswith("250")
    record = refusal(stage="content")
    assert (record.rule, record.text, record.enforced) == (
        "site_filter:test",
        "we do not want this",
        False,
    )
    assert told_in_the_timeline() == ["site_filter:test"]


def test_a_filter_that_is_off_is_not_asked(ingress, told):
    kind = told(FilterVerdict(FilterAction.REFUSE, NO), state="off")
    assert sent(ingress).startswith("250")
    assert kind.asked == []


@pytest.mark.parametrize(("on_trouble", "code"), [("defer", "451 4.7.1"), ("skip", "250 2.0.0")])
def test_a_filter_in_trouble(ingress, told, on_trouble, code):
    told(Trouble("nobody is at the socket"), on_trouble=on_trouble)
    assert sent(ingress).startswith(code)
    if on_trouble == "defer":
        assert refusal(stage="content").trace[-1]["detail"].endswith("nobody is at the socket")
    else:
        assert told_in_the_timeline() == ["site_filter:test"]


def test_a_held_message_waits_with_the_reason(ingress, told):
    told(FilterVerdict(FilterAction.HOLD, detail="looks odd"))
    assert sent(ingress, ANN, BOB).startswith("250")
    assert states() == {
        ANN: ("held", "held by the site filter test: looks odd"),
        BOB: ("held", "held by the site filter test: looks odd"),
    }
    message = Message.objects.get()
    assert (message.pending, message.finished_at) == (2, None)
    sentences = [entry.sentence for entry in timeline.timeline(message.id)]
    assert "Held by the site filter test: looks odd" in sentences


def test_a_discarded_message_is_finished(ingress, told):
    told(FilterVerdict(FilterAction.DISCARD))
    assert sent(ingress).startswith("250")
    assert states() == {ANN: ("discarded", "discarded by the site filter test")}
    message = Message.objects.get()
    assert message.pending == 0
    assert message.finished_at is not None
    sentences = [entry.sentence for entry in timeline.timeline(message.id)]
    assert "Discarded by the site filter test" in sentences


def test_a_changed_message_is_what_is_queued(ingress, kinds):
    kinds.add("told", lambda asked, _: FilterVerdict(content=b"X-Seen: yes\r\n" + asked.content))
    row(kind="told")
    assert sent(ingress).startswith("250")
    content = bytes(Content.objects.get().data)
    assert content.startswith(b"X-Seen: yes\r\nReceived: ")
    assert content.endswith(BODY.partition(b"\r\n\r\n")[2])
    assert Message.objects.get().size == len(content)


def test_one_recipient_refused_is_reported_to_who_cannot_be_told(ingress, told):
    told(FilterVerdict(refused={ANN: NO}))
    assert sent(ingress, ANN, BOB).startswith("250")
    assert states() == {ANN: ("failed", str(NO)), BOB: ("queued", "")}
    assert refusal(recipient=ANN).rule == "site_filter:test"


def test_one_recipient_deferred_makes_all_wait_when_they_cannot_be_told_apart(ingress, told):
    told(FilterVerdict(refused={ANN: LATER}))
    assert sent(ingress, ANN, BOB) == str(LATER)
    assert not Message.objects.exists()


@pytest.mark.parametrize("reply", [NO, LATER])
@pytest.mark.parametrize("parameters", ["PRDR", "EXDATA"])
def test_recipients_who_are_told_apart(ingress, told, reply, parameters):
    told(FilterVerdict(refused={ANN: reply}))
    with ingress.connect() as client:
        replies = mail(client, ANN, BOB, parameters=parameters)
    text = "\n".join(replies[4:])
    assert f"{reply.code}" in text
    assert reply.text in text
    assert states() == {BOB: ("queued", "")}


def test_all_recipients_refused_alone_is_a_refusal(ingress, told):
    told(FilterVerdict(refused={ANN: NO, BOB: NO}))
    assert sent(ingress, ANN, BOB) == str(NO)
    assert not Message.objects.exists()


# --- the other stages -----------------------------------------------------------------------------


def test_a_client_refused_at_its_connection(ingress, told):
    kind = told(FilterVerdict(FilterAction.REFUSE, NO), stage="connect")
    with ingress.connect(greet=False) as client:
        assert client.reply() == str(NO)
    assert kind.asked[0].reverse_path is None
    assert refusal(stage="connect").rule == "site_filter:test"


def test_a_listener_for_users_is_a_source_of_its_own_from_the_first_word(ingress, told):
    told(FilterVerdict(FilterAction.REFUSE, NO), stage="connect", esmtp=False, submission=True)
    with ingress.connect("submission", greet=False) as client:
        assert client.reply() == str(NO)
    with ingress.connect(greet=False) as client:
        assert client.reply().startswith("220")


@pytest.mark.parametrize("reply", [NO, LATER])
def test_a_sender_refused_at_mail(ingress, told, reply):
    kind = told(FilterVerdict(FilterAction.REFUSE, reply), stage="sender")
    with ingress.connect() as client:
        assert client.command("MAIL FROM:<>") == str(reply)
    assert kind.asked[0].reverse_path == ""
    assert refusal(stage="mail").rule == "site_filter:test"


def test_a_recipient_refused_at_rcpt_is_asked_about_alone(ingress, kinds):
    def judge(asked: FilterRequest, _: object) -> FilterVerdict:
        if asked.recipients[-1] == BOB:
            return FilterVerdict(FilterAction.REFUSE, NO)
        return FilterVerdict()

    kind = kinds.add("told", judge)
    row(kind="told", stage="recipient")
    with ingress.connect() as client:
        replies = mail(client, ANN, BOB)
    assert replies[1:3] == ["250 2.1.5 Recipient Ok", str(NO)]
    assert [asked.recipients for asked in kind.asked] == [(ANN,), (ANN, BOB)]
    assert states() == {ANN: ("queued", "")}
    assert refusal(stage="rcpt").rule == "site_filter:test"


def test_recipients_who_are_refused_anyway_are_not_asked_about(ingress, told):
    kind = told(FilterVerdict(), stage="recipient")
    with ingress.connect() as client:
        client.command("MAIL FROM:<alice@example.org>")
        assert client.command("RCPT TO:<nobody@example.test>").startswith("550")
        assert client.command("RCPT TO:<x@elsewhere.example>").startswith("5")
    assert kind.asked == []


@pytest.mark.parametrize("stage", ["sender", "recipient"])
@pytest.mark.parametrize(("action", "state"), [("hold", "held"), ("discard", "discarded")])
def test_what_is_held_or_discarded_before_its_content(ingress, told, stage, action, state):
    told(FilterVerdict(FilterAction(action), detail="known"), stage=stage)
    assert sent(ingress).startswith("250")
    assert states()[ANN] == (state, f"{state} by the site filter test: known")


# --- sources, order, live change ------------------------------------------------------------------


def test_users_are_asked_about_only_where_the_row_says_so(ingress, told):
    kind = told(FilterVerdict(FilterAction.REFUSE, NO))

    def submitted() -> str:
        with ingress.connect("submission") as client:
            client.starttls()
            client.command("EHLO client.example.org")
            client.login("ann@example.test", PASSWORD)
            assert client.command("MAIL FROM:<ann@example.test>").startswith("250")
            assert client.command(f"RCPT TO:<{BOB}>").startswith("250")
            client.command("DATA")
            client.send(BODY + b".\r\n")
            return client.reply()

    assert submitted().startswith("250")
    SiteFilter.objects.update(esmtp=False, submission=True)
    assert submitted() == str(NO)
    assert kind.asked[0].auth_user == "ann@example.test"
    assert sent(ingress).startswith("250")


def test_filters_are_asked_in_their_order(ingress, kinds):
    order = []
    for name, position in (("last", 3), ("first", 1), ("middle", 2)):
        kinds.add(name, lambda _, terms: (order.append(terms.name), FilterVerdict())[1])
        row(name, kind=name, position=position)
    assert sent(ingress).startswith("250")
    assert order == ["first", "middle", "last"]


def test_a_change_is_in_force_for_the_next_mail(ingress, told):
    told(FilterVerdict(FilterAction.REFUSE, NO), state="log")
    with ingress.connect() as client:
        assert mail(client)[-1].startswith("250")
        SiteFilter.objects.update(state="enforce")
        assert mail(client)[-1] == str(NO)
        SiteFilter.objects.all().delete()
        assert mail(client)[-1].startswith("250")


def test_no_answer_is_used_for_another_message(ingress, kinds):
    kind = kinds.add("told", lambda *_: FilterVerdict())
    row(kind="told", stage="recipient")
    with ingress.connect() as client:
        mail(client)
        mail(client)
    assert len(kind.asked) == 2


def test_a_filter_that_hangs_keeps_nobody_else_waiting(ingress, kinds):
    begun, ended = threading.Event(), threading.Event()

    async def judge(asked: FilterRequest) -> FilterVerdict:
        if asked.recipients == (BOB,):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        return FilterVerdict()

    kinds.add("told", lambda asked, _: judge(asked))
    row(kind="told")
    with ingress.connect() as slow:
        slow.commands("MAIL FROM:<alice@example.org>", f"RCPT TO:<{BOB}>", "DATA")
        slow.send(BODY + b".\r\n")
        assert begun.wait(SECONDS)
        assert sent(ingress).startswith("250")
        assert not ended.is_set()
    # Its client is gone, and so is the need for its word.
    assert ended.wait(SECONDS)
    assert list(states()) == [ANN]


# --- Sieve ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ('require "reject"; reject "no, thank you";', "550 5.7.1 no, thank you"),
        ('require "ereject"; ereject "451 4.7.1 come again";', "451 4.7.1 come again"),
        ('require "reject"; if header :is "subject" "bye" { reject "no"; }', "250 2.0.0 Ok"),
        ("keep;", "250 2.0.0 Ok"),
        ("discard;", "250 2.0.0 Ok"),
    ],
)
def test_a_sieve_text_decides(ingress, text, reply):
    row(text=text)
    assert sent(ingress).startswith(reply)
    if reply.startswith("250"):
        assert states()[ANN][0] == ("discarded" if "discard" in text else "queued")


def test_a_sieve_text_that_looks_at_the_envelope_is_asked_for_each_recipient(ingress):
    text = 'require ["reject", "envelope"]; if envelope :is "to" "ann@example.test" {reject "no";}'
    row(text=text)
    assert sent(ingress, ANN, BOB).startswith("250")
    assert states() == {ANN: ("failed", "550 5.7.1 no"), BOB: ("queued", "")}


def test_what_a_sieve_text_changes_in_the_header_is_queued(ingress):
    row(text='require "editheader"; addheader "X-Seen" "yes"; deleteheader "subject";')
    assert sent(ingress).startswith("250")
    content = bytes(Content.objects.get().data)
    assert content.startswith(b"X-Seen: yes\r\nReceived: ")
    assert b"Subject" not in content


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("remote-ip", "127.0.0.1"),
        ("remote-host", "client.example.org"),
        ("phase", "pre"),
        ("name", "CourierWeb"),
        ("vnd.courierweb.stage", "content"),
        ("vnd.courierweb.source", "esmtp"),
    ],
)
def test_a_sieve_text_knows_its_surroundings(ingress, item, value):
    row(
        text=f'require ["environment", "reject"]; if environment "{item}" "{value}" {{reject "y";}}'
    )
    assert sent(ingress) == "550 5.7.1 y"
