"""Claiming work: each recipient by one worker at a time, and by another when that one dies."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Attempt, Event, Lease, Recipient, State
from mta.queue import lease, outcomes
from mta.queue.lease import Batch
from mta.queue.limited_claim import claim_limited
from mta.queue.room import Terms
from tests.queue.rows import add_recipient, make_message
from tests.support.threads import Beside, beside

MINUTE = timedelta(minutes=1)


def claim(transport: str = "esmtp", limit: int = 0, batch: int = 100) -> Batch | None:
    if limit:
        return claim_limited(transport, Terms(limit, batch, MINUTE, "test"))
    return lease.claim(transport, batch=batch, lease=MINUTE, owner="test")


def addresses(batch: Batch | None) -> list[str]:
    return [] if batch is None else [recipient.address for recipient in batch.recipients]


def expire(batch: Batch) -> None:
    Lease.objects.filter(id=batch.lease_id).update(expires_at=timezone.now() - MINUTE)


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "state"))


@pytest.mark.django_db
def test_a_batch_is_what_is_due_for_one_next_hop():
    now = timezone.now()
    message = make_message("a@x.example", "b@x.example", created_at=now - MINUTE)
    add_recipient(message, "c@y.example", next_attempt=now - 5 * MINUTE)
    add_recipient(message, "later@x.example", next_attempt=now + MINUTE)
    add_recipient(message, "held@x.example", state=State.HELD)
    add_recipient(message, "here@x.example", transport="local", nexthop="")

    most_overdue = claim()
    assert addresses(most_overdue) == ["c@y.example"]
    batch = claim()
    assert addresses(batch) == ["a@x.example", "b@x.example"]
    assert batch.nexthop == "mx:x.example"
    assert [recipient.attempts for recipient in batch.recipients] == [1, 1]
    assert batch.recipients[0].reverse_path == "alice@example.org"
    assert claim() is None
    assert addresses(claim("local")) == ["here@x.example"]
    assert states()["held@x.example"] == State.HELD
    assert states()["later@x.example"] == State.QUEUED


@pytest.mark.django_db
def test_a_batch_has_its_size():
    make_message(*(f"{number}@x.example" for number in range(5)))
    assert [len(addresses(claim(batch=2))) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_the_same_recipient():
    make_message(*(f"{number}@x.example" for number in range(40)))

    def work() -> list[int]:
        mine = []
        while (batch := claim(batch=3)) is not None:
            mine += [recipient.id for recipient in batch.recipients]
        return mine

    workers = [Beside(work) for _ in range(3)]
    claimed = [recipient_id for worker in workers for recipient_id in worker.result()]
    assert len(claimed) == len(set(claimed)) == 40


@pytest.mark.django_db(transaction=True)
def test_a_claim_does_not_wait_for_one_that_is_on_its_way():
    make_message("a@x.example", "b@x.example")
    with beside(lambda: addresses(claim(batch=1))):
        assert addresses(claim()) == ["b@x.example"]


@pytest.mark.django_db
def test_a_next_hop_has_so_many_deliveries_at_once_and_no_more():
    make_message(*(f"{number}@x.example" for number in range(4)), "other@y.example")
    first, other, second = (claim(limit=2, batch=1) for _ in range(3))
    assert {first.nexthop, second.nexthop} == {"mx:x.example"}
    assert addresses(other) == ["other@y.example"]
    assert claim(limit=2, batch=1) is None

    outcomes.record(first, [], last=True)
    assert claim(limit=2, batch=1).nexthop == "mx:x.example"


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_among_workers_that_claim_at_the_same_moment():
    make_message(*(f"{number}@x.example" for number in range(20)))
    workers = [Beside(lambda: claim(limit=2, batch=1)) for _ in range(6)]
    claimed = [worker.result() for worker in workers]
    assert sum(batch is not None for batch in claimed) == 2
    assert Lease.objects.count() == 2


@pytest.mark.django_db
def test_a_lease_that_ran_out_gives_its_place_back():
    make_message("a@x.example", "b@x.example")
    expire(claim(limit=1, batch=1))
    assert addresses(claim(limit=1, batch=1)) == ["b@x.example"]


@pytest.mark.django_db
def test_reaping_tells_uncertain_from_interrupted():
    make_message("dot@x.example", "before@x.example", "done@x.example")
    batch = claim()
    dot, before, done = (recipient.id for recipient in batch.recipients)
    lease.started(batch, [dot])
    Recipient.objects.filter(id=done).update(state=State.RELAYED, lease=None)
    assert lease.reap() == []
    expire(batch)

    assert sorted(lease.reap()) == [dot, before]

    assert states() == {
        "dot@x.example": State.QUEUED,
        "before@x.example": State.QUEUED,
        "done@x.example": State.RELAYED,
    }
    assert dict(Attempt.objects.values_list("recipient_id", "result")) == {
        dot: "uncertain",
        before: "interrupted",
    }
    assert dict(Event.objects.values_list("recipient_id", "data")) == {
        dot: {"uncertain": True},
        before: {},
    }
    assert not Lease.objects.exists()
    assert [recipient.attempts for recipient in claim().recipients] == [2, 2]
    assert lease.reap() == []


@pytest.mark.django_db
def test_an_earlier_uncertain_attempt_is_not_told_again():
    make_message("a@x.example")
    first = claim()
    lease.started(first, [first.recipients[0].id])
    expire(first)
    lease.reap()
    expire(claim())
    lease.reap()
    assert list(Attempt.objects.order_by("id").values_list("number", "result")) == [
        (1, "uncertain"),
        (2, "interrupted"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_reapers_end_a_lease_once():
    make_message("a@x.example")
    expire(claim())
    reapers = [Beside(lease.reap) for _ in range(3)]
    assert sorted(len(reaper.result()) for reaper in reapers) == [0, 0, 1]


@pytest.mark.django_db
def test_a_renewed_lease_lives_on():
    make_message("a@x.example")
    batch = claim()
    expire(batch)
    assert lease.renew(batch.lease_id, MINUTE)
    assert lease.reap() == []
    expire(batch)
    lease.reap()
    assert not lease.renew(batch.lease_id, MINUTE)


@pytest.mark.django_db
def test_contents_come_as_octets():
    first = make_message(content=b"\x00\xff\r\n")
    second = make_message(content=b"")
    assert lease.contents([first.id, second.id, 5]) == {first.id: b"\x00\xff\r\n", second.id: b""}
    assert lease.contents([]) == {}


@pytest.mark.django_db
def test_a_lease_is_there_only_when_there_is_something_to_hold():
    assert claim() is None
    assert claim(limit=3) is None
    assert not Lease.objects.exists()
