"""The filter sender_rate over the database: who is counted, and what becomes of too much."""

import asyncio
import os
import pwd
import time
from dataclasses import replace

import pytest

from mta import runtime
from mta.filters.site.sender_rate import SenderRate
from mta.models import SendingRate, State, TimedRelease
from mta.protocol.envelope import Source
from mta.protocol.site_filter import FilterAction, FilterState
from tests.filters.site.asking import CONTEXT_FREE, ask
from tests.queue.rows import make_message

ANN = "ann@example.test"
THREE = ("a@x.test", "b@x.test", "c@x.test")


def test_what_is_too_much_waits_and_is_released_by_itself(context):
    asking = ask(SenderRate(context), maxrcpts=3)
    assert asking(auth_user=ANN, recipients=THREE).action is FilterAction.PASS
    message = make_message()
    message.recipient_set.update(state=State.HELD)

    verdict = asking(auth_user=ANN, queue_id=message.queue_id)

    assert verdict.action is FilterAction.HOLD
    assert 0 < verdict.release_after <= 62
    assert verdict.detail.startswith(f"{ANN} had 3 recipients in 60 s and now 1; 3 may be")
    runtime.tick()
    assert message.recipient_set.get().state == State.HELD
    TimedRelease.objects.update(at="2026-01-01T00:00Z")
    runtime.tick()
    assert message.recipient_set.get().state == State.QUEUED
    assert not TimedRelease.objects.exists()


def test_mail_that_waits_does_so_one_behind_the_other(context):
    asking = ask(SenderRate(context), maxrcpts=3)
    now = time.time()
    waits = [asking(auth_user=ANN, recipients=THREE, at=now).release_after or 0 for _ in range(4)]
    assert [round(wait / 61) for wait in waits] == [0, 1, 2, 3]


def test_what_would_wait_for_too_long_is_told_to_come_again(context):
    asking = ask(SenderRate(context), maxrcpts=3, longest_hold=0.02)
    actions = [asking(auth_user=ANN, recipients=THREE) for _ in range(3)]
    assert [each.action for each in actions] == [
        FilterAction.PASS,
        FilterAction.HOLD,
        FilterAction.REFUSE,
    ]
    assert str(actions[2].reply) == "450 4.7.1 too many recipients in a short time"
    # What was not taken counts nothing.
    assert sum(SendingRate.objects.values_list("recipients", flat=True)) == 6


@pytest.mark.parametrize(("action", "code"), [("defer", "450 4.7.1"), ("refuse", "550 5.7.1")])
def test_a_row_may_refuse_instead(context, action, code):
    asking = ask(SenderRate(context), maxrcpts=3, action=action, reply="slowly")
    asking(auth_user=ANN, recipients=THREE)
    assert str(asking(auth_user=ANN).reply) == f"{code} slowly"


def test_more_recipients_than_the_limit_are_never_worth_another_attempt(context):
    asking = ask(SenderRate(context), maxrcpts=2, action="defer")
    assert asking(auth_user=ANN, recipients=THREE).reply.code == 550


def test_one_sender_does_not_slow_another(context):
    asking = ask(SenderRate(context), maxrcpts=3)
    asking(auth_user=ANN, recipients=THREE)
    assert asking(auth_user="BOB@example.test", recipients=THREE).action is FilterAction.PASS
    assert asking(auth_user="bob@example.test").action is FilterAction.HOLD


def test_a_user_of_this_host_is_counted_by_name_and_the_system_is_not(context):
    asking = ask(SenderRate(context), maxrcpts=1, minuid=0)
    name = pwd.getpwuid(os.getuid()).pw_name
    asking(uid=os.getuid(), source=Source.LOCAL)
    assert asking(uid=os.getuid(), source=Source.LOCAL).detail.startswith(f"{name} had 1")
    asking = ask(SenderRate(context), maxrcpts=1)
    for _ in range(3):
        assert asking(uid=99, source=Source.LOCAL).action is FilterAction.PASS


@pytest.mark.parametrize(
    ("others", "counted"),
    [("nobody", ""), ("domain", "@example.org"), ("client", "192.0.2.7")],
)
def test_mail_without_a_user_is_counted_as_the_row_says(context, others, counted):
    asking = ask(SenderRate(context), maxrcpts=1, others=others)
    asking()
    assert [row.sender for row in SendingRate.objects.all()] == ([counted] if counted else [])


def test_some_have_a_limit_of_their_own_or_none(context):
    asking = ask(SenderRate(context), maxrcpts=1, exceptions=["boss@* 3", "@lists.test"])
    assert asking(auth_user="boss@example.test", recipients=THREE).action is FilterAction.PASS
    assert asking(auth_user="boss@example.test").action is FilterAction.HOLD
    for _ in range(3):
        assert asking(auth_user="a@lists.test", recipients=THREE).action is FilterAction.PASS


def test_messages_that_come_at_the_same_time_are_counted_one_by_one(context):
    kind = SenderRate(context)
    asking = ask(kind, maxrcpts=3, action="defer")

    async def all_at_once():
        requests = [asking.request(auth_user=ANN) for _ in range(9)]
        return await asyncio.gather(*(kind.judge(each, asking.terms) for each in requests))

    verdicts = asyncio.run(all_at_once())
    assert sum(verdict.action is FilterAction.PASS for verdict in verdicts) == 3


def test_a_rehearsal_and_a_row_that_only_logs_keep_nobody_waiting(context):
    asking = ask(SenderRate(context), maxrcpts=1)
    for _ in range(2):
        assert asking(auth_user=ANN, rehearsal=True).action is FilterAction.PASS
    asking(auth_user=ANN)
    assert asking(auth_user=ANN, rehearsal=True).action is FilterAction.HOLD
    asking.terms = replace(asking.terms, state=FilterState.LOG)
    assert asking(auth_user=ANN).action is FilterAction.HOLD
    assert not TimedRelease.objects.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"maxrcpts": 0},
        {"interval": 59},
        {"action": "delay"},
        {"others": "everybody"},
        {"exceptions": ["a@b.test none"]},
        {"exceptions": ["a@b.test 1 2"]},
        {"longest_hold": -1},
    ],
)
def test_a_row_that_cannot_work_is_not_saved(options):
    with pytest.raises(ValueError, match="expected"):
        ask(SenderRate(CONTEXT_FREE), **options)
