"""Group commit: what waits together is written together, and each hears its own result."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mta.ingress import committer as module
from mta.ingress.committer import CommitFailed, Committer
from mta.models import Message, Refusal, Tally
from mta.queue.commit import Submission
from mta.queue.loop_connection import LoopConnection
from tests.queue.submissions import refusal, routed, submission
from tests.support.smtp_session import database_away, disconnect_others

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_connections_left():
    yield
    disconnect_others()


def run(act: Callable[[Committer], Awaitable[None]]) -> list[set[str]]:
    """Act with a committer; gives the transports that were called for, batch by batch."""
    told: list[set[str]] = []

    async def main() -> None:
        committer = Committer(lambda names: told.append(set(names)), LoopConnection())
        await asyncio.wait_for(act(committer), 30)
        await asyncio.wait_for(committer.drain(), 30)
        committer.close()

    asyncio.run(main())
    return told


async def results(committer: Committer, *submissions: Submission) -> list[bool]:
    """Whether each of these, given at once, was committed."""
    done = await asyncio.gather(
        *(committer.commit(each) for each in submissions), return_exceptions=True
    )
    assert all(each is None or isinstance(each, CommitFailed) for each in done)
    return [each is None for each in done]


def test_what_gathers_during_a_commit_is_the_next_batch():
    async def act(committer: Committer) -> None:
        assert await results(committer, *(submission() for _ in range(30))) == [True] * 30

    assert run(act)
    assert Message.objects.count() == 30
    # One by one would be thirty.
    assert Tally.objects.filter(kind="accepted").count() <= 2


def test_batches_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "BATCH_COUNT", 4)
    monkeypatch.setattr(module, "BATCH_OCTETS", 10_000)
    large = [replace(submission(), content=b"x" * 8000) for _ in range(3)]

    async def act(committer: Committer) -> None:
        assert all(await results(committer, *large, *(submission() for _ in range(9))))

    run(act)
    counts = Tally.objects.filter(kind="accepted").order_by("id").values_list("count", flat=True)
    assert sum(counts) == 12
    assert max(counts) <= 4


def test_the_transports_with_work_are_called_for():
    remote = submission(recipients=(routed("a@x.example", transport="esmtp", nexthop="mx:x"),))

    async def act(committer: Committer) -> None:
        await results(committer, submission(), remote)

    assert set().union(*run(act)) == {"local", "esmtp"}


def poisoned() -> list[Submission]:
    """What the database refuses, and what cannot even be sent to it."""
    return [
        replace(submission(), accepted={"text": "\0"}),
        submission("\udcff@x.example"),
        submission("nul\0@x.example"),
    ]


def test_a_poisoned_message_costs_nobody_else_anything():
    bad = poisoned()

    async def act(committer: Committer) -> None:
        given = [submission(), *bad, submission()]
        assert await results(committer, *given) == [True, False, False, False, True]
        assert await results(committer, submission()) == [True]

    run(act)
    assert Message.objects.count() == 3


def test_with_the_database_away_everybody_hears_of_it_and_nobody_is_called():
    async def act(committer: Committer) -> None:
        assert await results(committer, submission(), submission()) == [False, False]

    with database_away():
        assert run(act) == []
    assert not Message.objects.exists()


def test_a_client_that_hangs_up_takes_nothing_with_it():
    async def act(committer: Committer) -> None:
        gone = asyncio.ensure_future(committer.commit(submission()))
        staying = asyncio.ensure_future(committer.commit(submission()))
        await asyncio.sleep(0)
        gone.cancel()
        await staying

    run(act)
    assert Message.objects.count() == 2


def test_refusals_are_written_and_under_a_flood_counted(monkeypatch):
    monkeypatch.setattr(module, "REFUSALS_KEPT", 5)

    async def act(committer: Committer) -> None:
        for _ in range(8):
            committer.refused(refusal())
        assert committer.lost_refusals == 3
        await committer.drain()
        committer.refused(refusal())

    run(act)
    assert Refusal.objects.count() == 6
