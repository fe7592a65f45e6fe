"""The filter sender_verification against servers that answer as other people's do."""

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone

from mta import runtime
from mta.filters.site.sender_verification import SenderVerification as Kind
from mta.models import Domain, Route, SenderVerification
from mta.protocol.sender_check import cache_key
from mta.protocol.site_filter import FilterAction, FilterStage
from tests.filters.site.asking import CONTEXT_FREE, ask
from tests.support.sink import Do, Sink, Tls

SENDER = "alice-news@example.org"


@pytest.fixture
def verify(context):
    """Asks about a sender of example.org, whose mail goes to the sink."""

    def verify(sink, sender=SENDER, options=None, **about):
        Route.objects.update_or_create(
            domain="example.org", defaults={"relay": "127.0.0.1", "port": sink.port}
        )
        runtime.directory().refresh()
        asking = ask(Kind(context), **(options or {}))
        return asking(stage=FilterStage.SENDER, reverse_path=sender, content=None, **about)

    return verify


def commands(sink):
    return [line for session in sink.sessions for line in session.commands]


def test_a_sender_whose_host_takes_a_report_passes_and_no_mail_is_sent(verify):
    with Sink() as sink:
        verdict = verify(sink)
        sink.wait_for(sessions=1)
    assert verdict.action is FilterAction.PASS
    assert "recipient ok" in verdict.detail
    said = [line.upper() for line in commands(sink)]
    assert "MAIL FROM:<>" in said
    assert f"RCPT TO:<{SENDER.upper()}>" in said
    assert "DATA" not in said
    assert said[-1] == "QUIT"


def test_it_is_asked_under_tls_where_that_is_offered(verify):
    with Sink(tls=Tls.STARTTLS) as sink:
        assert verify(sink).action is FilterAction.PASS
    assert any(line.upper() == "STARTTLS" for line in commands(sink))


@pytest.mark.parametrize(
    ("replies", "reply"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, "550 5.1.7"),
        ({"MAIL": "550 5.7.1 no reports here"}, "550 5.1.7"),
        ({"RCPT": "450 4.2.0 greylisted"}, "450 4.1.7"),
        ({"BANNER": "421 4.3.2 too busy"}, "450 4.1.7"),
        ({"BANNER": "554 5.7.1 go away"}, "550 5.1.7"),
        ({"RCPT": Do.CLOSE}, "450 4.1.7"),
        ({"RCPT": b"\xff\xfe rubbish\r\n"}, "450 4.1.7"),
    ],
)
def test_what_the_host_says_is_told_to_the_client(verify, replies, reply):
    with Sink(replies=replies) as sink:
        verdict = verify(sink)
    assert verdict.action is FilterAction.REFUSE
    assert str(verdict.reply).startswith(reply)
    for said in replies.values():
        if isinstance(said, str):
            assert said[10:] in verdict.reply.text


def test_a_host_that_is_away_is_no_refusal_for_good(verify):
    with Sink() as sink:
        pass
    assert verify(sink).reply.code == 450


def test_a_host_that_says_nothing_does_not_keep_the_session(verify):
    with Sink(replies={"RCPT": Do.HANG}) as sink:
        verdict = verify(sink, options={"seconds": 1})
    assert verdict.reply.code == 450


def test_the_answer_is_remembered_for_all_extensions_of_the_mailbox(verify):
    with Sink() as sink:
        verify(sink)
        assert "(remembered)" in verify(sink, "alice-shop@EXAMPLE.org").detail
        assert "(remembered)" not in verify(sink, "bob@example.org").detail
        assert len(sink.sessions) == 2
        row = SenderVerification.objects.get(key="alice@example.org")
        assert timedelta(hours=2) < row.expires_at - timezone.now() < timedelta(hours=3)


def test_a_refusal_is_remembered_for_a_short_time(verify):
    with Sink(replies={"RCPT": ["550 5.1.1 no such user", "250 2.1.5 welcome"]}) as sink:
        assert verify(sink).reply.code == 550
        assert verify(sink).reply.code == 550
        row = SenderVerification.objects.get()
        assert row.expires_at - timezone.now() < timedelta(minutes=16)
        SenderVerification.objects.update(expires_at=timezone.now())
        assert verify(sink).action is FilterAction.PASS


def test_those_who_ask_about_one_sender_at_a_time_share_one_session(context, verify):
    with Sink() as sink:
        verify(sink, "bob@example.org")
        kind = Kind(context)
        asking = ask(kind)
        requests = [asking.request(reverse_path=SENDER) for _ in range(5)]

        async def all_at_once():
            return await asyncio.gather(*(kind.judge(each, asking.terms) for each in requests))

        verdicts = asyncio.run(all_at_once())
        assert {verdict.action for verdict in verdicts} == {FilterAction.PASS}
        assert len(sink.sessions) == 2


def test_null_and_authenticated_senders_and_our_own_are_not_asked_about(verify):
    Domain.objects.create(name="example.test")
    with Sink(replies={"RCPT": "550 no"}) as sink:
        assert verify(sink, "").action is FilterAction.PASS
        assert verify(sink, auth_user="bob@example.test").action is FilterAction.PASS
        assert verify(sink, "nobody@example.test").action is FilterAction.PASS
        spared = {"spared": ["@example.org"]}
        assert verify(sink, options=spared).action is FilterAction.PASS
        assert sink.sessions == []


@pytest.mark.parametrize(
    ("sender", "whole", "key"),
    [
        ("ann-x-y@Example.ORG", False, "ann@example.org"),
        ("ann-x@example.org", True, "ann-x@example.org"),
        ("-ann@example.org", False, "-ann@example.org"),
    ],
)
def test_what_an_answer_is_remembered_by(sender, whole, key):
    assert cache_key(sender, whole=whole) == key


@pytest.mark.parametrize("options", [{"logmode": "all"}, {"seconds": 0}, {"seconds": 30}])
def test_a_row_that_cannot_work_is_not_saved(options):
    with pytest.raises(ValueError, match="expected|longer"):
        ask(Kind(CONTEXT_FREE), **options)
