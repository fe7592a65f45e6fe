"""The filter duplicate_slew over the queue: what is refused, and what becomes of earlier copies."""

import asyncio
from dataclasses import replace

import pytest

from mta.filters.site.duplicate_slew import DuplicateSlew
from mta.models import Event, SlewSighting, State
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.site_filter import FilterAction, FilterState
from tests.filters.site.asking import CONTEXT_FREE, ask
from tests.queue.rows import make_message

SPAM = b"Subject: Get rich\r\n\r\nDear friend,\r\nclick here\r\nat once\r\n"
OTHER = b"Subject: Lunch\r\n\r\nat noon?\r\n"


def arrive(asking, content=SPAM, **about):
    """A copy comes, and goes into the queue unless it is refused: (action, message)."""
    message = make_message(content=content)
    verdict = asking(queue_id=encode_queue_id(message.id), content=content, **about)
    if verdict.action is FilterAction.REFUSE:
        message.content.delete()
        message.recipient_set.all().delete()
        message.delete()
    return verdict.action, message


def states(messages):
    return [message.recipient_set.get().state for message in messages]


def test_the_fourth_copy_is_refused_and_the_queued_ones_are_cancelled_and_reported(context):
    asking = ask(DuplicateSlew(context))
    copies = [arrive(asking) for _ in range(3)]
    lunch = [arrive(asking, OTHER) for _ in range(3)]
    assert states(message for _, message in copies) == [State.QUEUED] * 3

    assert arrive(asking)[0] is FilterAction.REFUSE

    messages = [message for _, message in copies]
    assert states(messages) == [State.CANCELLED] * 3
    assert {m.recipient_set.get().report for m in messages} == {"failed"}
    assert "duplicate" in messages[0].recipient_set.get().last_reply
    event = Event.objects.get(message_id=messages[0].id, kind="cancelled")
    assert event.data["actor"] == "site filter the-row"
    assert states(message for _, message in lunch) == [State.QUEUED] * 3
    # Further copies: one is enough.
    assert arrive(asking)[0] is FilterAction.REFUSE
    assert arrive(asking)[0] is FilterAction.REFUSE


def test_the_reply_names_what_happened(context):
    asking = ask(DuplicateSlew(context), duplevel=2, reply="stop it")
    arrive(asking)
    verdict = asking(content=SPAM)
    assert str(verdict.reply) == "550 5.7.1 stop it"
    assert verdict.detail.startswith(
        "copy 2 of this message; 2 are a slew; what is queued of the 1"
    )


def test_a_copy_that_is_being_delivered_is_not_interrupted(context):
    asking = ask(DuplicateSlew(context), duplevel=2)
    _, message = arrive(asking)
    message.recipient_set.update(state=State.DELIVERING)
    assert arrive(asking)[0] is FilterAction.REFUSE
    assert states([message]) == [State.DELIVERING]


def test_large_copies_are_copies(context):
    asking = ask(DuplicateSlew(context), duplevel=2)
    large = SPAM + b"and so on\r\n" * 10_000
    assert arrive(asking, large)[0] is FilterAction.PASS
    assert arrive(asking, large)[0] is FilterAction.REFUSE


def test_copies_beyond_hashsize_are_forgotten(context):
    asking = ask(DuplicateSlew(context), duplevel=2, hashsize=3)
    arrive(asking)
    for number in range(3):
        arrive(asking, OTHER + b"and " + b"x" * number + b"y\r\n")
    assert arrive(asking)[0] is FilterAction.PASS
    assert SlewSighting.objects.count() == 3


def test_what_never_got_into_the_queue_is_not_one_more_copy(context):
    """A client that was told to come again by somebody else sends the same message again."""
    asking = ask(DuplicateSlew(context), duplevel=2)
    asking(content=SPAM)
    SlewSighting.objects.update(at="2026-01-01T00:00Z")
    assert arrive(replaced(asking, hours=0))[0] is FilterAction.PASS


def replaced(asking, **options):
    asking.terms = replace(asking.terms, options={**asking.terms.options, **options})
    return asking


def test_old_copies_do_not_count(context):
    asking = ask(DuplicateSlew(context), duplevel=2, hours=24)
    arrive(asking)
    SlewSighting.objects.update(at="2026-01-01T00:00Z")
    assert arrive(asking)[0] is FilterAction.PASS
    assert arrive(replaced(asking, hours=0))[0] is FilterAction.REFUSE


def test_asked_twice_about_one_message_it_counts_once(context):
    asking = ask(DuplicateSlew(context), duplevel=2)
    for _ in range(3):
        verdict = asking(content=SPAM, queue_id=encode_queue_id(77))
        assert verdict.action is FilterAction.PASS


def test_two_rows_do_not_count_each_others_mail(context):
    asking = ask(DuplicateSlew(context), duplevel=2)
    arrive(asking)
    asking.terms = replace(asking.terms, name="another")
    assert arrive(asking)[0] is FilterAction.PASS


def test_a_row_that_only_logs_cancels_nothing(context):
    asking = ask(DuplicateSlew(context), duplevel=2)
    asking.terms = replace(asking.terms, state=FilterState.LOG)
    _, message = arrive(asking)
    assert asking(content=SPAM).action is FilterAction.REFUSE
    assert states([message]) == [State.QUEUED]


def test_a_rehearsal_neither_counts_nor_cancels(context):
    asking = ask(DuplicateSlew(context), duplevel=2)
    for _ in range(2):
        assert asking(content=SPAM, rehearsal=True).action is FilterAction.PASS
    _, message = arrive(asking)
    assert asking(content=SPAM, rehearsal=True).action is FilterAction.REFUSE
    assert states([message]) == [State.QUEUED]
    assert SlewSighting.objects.count() == 1


@pytest.mark.parametrize(
    "about",
    [
        {"reverse_path": "news@lists.example"},
        {"auth_user": "boss@example.test"},
        {"content": b"List-Id: All of us <team.lists.example>\r\n" + SPAM},
    ],
)
def test_some_may_send_alike(context, about):
    spared = ["@lists.example", "boss@*", "team.lists.example"]
    asking = ask(DuplicateSlew(context), duplevel=2, spared=spared)
    for _ in range(3):
        assert asking(**{"content": SPAM, **about}).action is FilterAction.PASS


def test_copies_that_come_at_the_same_time_are_counted_one_by_one(context):
    kind = DuplicateSlew(context)
    asking = ask(kind)
    messages = [make_message(content=SPAM) for _ in range(8)]

    async def all_at_once():
        return await asyncio.gather(
            *(kind.judge(asking.request(m, content=SPAM), asking.terms) for m in messages)
        )

    verdicts = asyncio.run(all_at_once())
    assert sum(verdict.action is FilterAction.PASS for verdict in verdicts) == 3
    passed = [m for m, v in zip(messages, verdicts, strict=True) if v.action is FilterAction.PASS]
    assert states(passed) == [State.CANCELLED] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"duplevel": 1},
        {"duplevel": 10, "hashsize": 9},
        {"hours": -1},
        {"duplevel": "four"},
        {"spared": ["two words"]},
        {"dupelevel": 4},
    ],
)
def test_a_row_that_cannot_work_is_not_saved(options):
    with pytest.raises(ValueError, match="expected|neither|no option"):
        ask(DuplicateSlew(CONTEXT_FREE), **options)
