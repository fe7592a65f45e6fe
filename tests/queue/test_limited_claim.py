"""Limits as rows, rates, fairness, and destinations that are down: all judged in the claim."""

from datetime import timedelta

import pytest
from django.contrib.postgres.functions import TransactionNow
from django.utils import timezone

from mta.models import DeliveryLimit, Destination, Lease, Recipient
from mta.queue import destinations, lease, limited_claim, outcomes
from mta.queue.destinations import Health, Lesson
from mta.queue.lease import Batch
from mta.queue.limited_claim import Ask, claim_limited, claim_more, has_limits
from mta.queue.room import Terms
from tests.queue.rows import make_message
from tests.support.threads import Beside

MINUTE = timedelta(minutes=1)
X, Y = "mx:x.example", "mx:y.example"

pytestmark = pytest.mark.django_db


def terms(limit: int = 4, batch: int = 1, slots: int = 0, *, adaptive: bool = True) -> Terms:
    return Terms(limit, batch, MINUTE, "test", slots, adaptive)


def claim(**changes) -> Batch | None:
    return claim_limited("esmtp", terms(**changes))


def claim_all(**changes) -> list[Batch]:
    """Claims until there is no more, and keeps every lease."""
    claimed = []
    while (batch := claim(**changes)) is not None:
        claimed.append(batch)
    return claimed


def many(domain: str, count: int) -> None:
    for number in range(count):
        make_message(f"{number}@{domain}", created_at=timezone.now() - MINUTE)


def limit(**fields) -> None:
    row = DeliveryLimit(**{"transport": "esmtp", **fields})
    row.full_clean()
    row.save()


def learn(nexthop: str, health: Health, **more) -> None:
    destinations.learn_all([Lesson("esmtp", nexthop, health, **more)])


def known(nexthop: str = X) -> Destination:
    return Destination.objects.get(nexthop=nexthop)


def test_a_new_destination_is_trusted_with_two_and_then_with_more():
    many("x.example", 12)
    first = claim_all()
    assert len(first) == 2
    learn(X, Health.OK)
    assert len(claim_all()) == 1
    learn(X, Health.OK)
    assert len(claim_all()) == 1
    learn(X, Health.OK)
    assert claim_all() == []
    assert Lease.objects.count() == 4


def test_a_row_overrides_maxhost_and_the_default_row_is_for_the_others():
    limit(scope="destination", simultaneous=3)
    limit(scope="destination", nexthop=Y, simultaneous=1)
    many("x.example", 5)
    many("y.example", 5)
    hops = [batch.nexthop for batch in claim_all(adaptive=False)]
    assert (hops.count(X), hops.count(Y)) == (3, 1)


def test_a_transport_has_a_limit_over_all_its_destinations():
    limit(scope="transport", simultaneous=3)
    for number in range(5):
        many(f"{number}.example", 1)
    assert len(claim_all()) == 3


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_a_transport_holds_at_the_same_moment():
    limit(scope="transport", simultaneous=2)
    for number in range(6):
        many(f"{number}.example", 1)
    workers = [Beside(claim) for _ in range(6)]
    assert sum(worker.result() is not None for worker in workers) == 2


def test_a_mailbox_takes_so_many_deliveries_at_once():
    limit(scope="mailbox", simultaneous=1)
    for _ in range(2):
        make_message("full@x.example", "free@x.example", created_at=timezone.now() - MINUTE)
    first = claim(batch=1)
    rest = claim_all(batch=10, adaptive=False)
    taken = [recipient.address for batch in rest for recipient in batch.recipients]
    assert first.recipients[0].address not in taken
    assert len(taken) == 2


@pytest.mark.parametrize("scope", ["mailbox", "transport"])
def test_limits_of_local_delivery_leave_the_destination_without_one(scope):
    """Delivery here knows no limit of a destination; a row for something else makes none."""
    limit(scope=scope, transport="local", simultaneous=2)
    message = make_message(created_at=timezone.now() - MINUTE)
    message.recipient_set.update(transport="local", nexthop="")
    here = terms(limit=0, batch=10, adaptive=False)
    assert len(claim_limited("local", here).recipients) == 1


def test_a_rate_lets_ten_seconds_worth_go_at_once_and_then_waits():
    limit(scope="destination", nexthop=X, per_minute=18)
    many("x.example", 9)
    many("y.example", 2)
    batches = claim_all(batch=10, adaptive=False)
    counts = {batch.nexthop: len(batch.recipients) for batch in batches}
    assert counts == {X: 3, Y: 2}
    Destination.objects.filter(nexthop=X).update(tokens_at=TransactionNow() - timedelta(seconds=7))
    assert len(claim(batch=10).recipients) == 2
    assert claim(batch=10) is None


def test_a_rate_of_the_transport_counts_over_its_destinations():
    limit(scope="transport", per_minute=12)
    for number in range(5):
        many(f"{number}.example", 1)
    assert len(claim_all()) == 2


@pytest.mark.django_db(transaction=True)
def test_destinations_take_turns_whoever_has_most():
    many("x.example", 6)
    many("y.example", 2)
    hops = []
    while (batch := claim()) is not None:
        hops.append(batch.nexthop)
        ids = [recipient.id for recipient in batch.recipients]
        Recipient.objects.filter(id__in=ids).update(state="relayed", lease=None)
        outcomes.record(batch, [], last=True)
    assert hops[:4] == [X, Y, X, Y]
    assert len(hops) == 8


def test_destinations_that_never_answered_leave_slots_for_those_that_do():
    for number in range(6):
        many(f"{number}.example", 1)
    many("x.example", 1)
    Destination.objects.create(
        transport="esmtp", nexthop=X, last_ok_at=timezone.now(), served_at=timezone.now()
    )
    claimed = claim_all(slots=4)
    assert [batch.nexthop for batch in claimed].count(X) == 1
    assert len(claimed) == 4


def ask_together(count: int, *held: Batch, **changes) -> list[Batch | None]:
    """What so many runners get that ask at the same moment, and the sessions that hold these."""
    asks = [Ask("esmtp", terms(**changes)) for _ in range(count)]
    more = [Ask("esmtp", terms(**changes), batch) for batch in held]
    return limited_claim.claim_all([*asks, *more])


def test_who_asks_at_the_same_moment_gets_different_destinations():
    for number in range(3):
        many(f"{number}.example", 2)
    batches = ask_together(4)
    assert [batch.nexthop for batch in batches[:3]] == [f"mx:{n}.example" for n in range(3)]
    assert len({batch.lease_id for batch in batches}) == 4
    assert ask_together(9).count(None) == 7


def test_one_destination_gives_to_several_at_once_what_it_may():
    many("x.example", 9)
    assert [batch is None for batch in ask_together(4)] == [False, False, True, True]
    assert Lease.objects.count() == 2


def test_the_limits_of_a_transport_hold_for_those_who_ask_together():
    limit(scope="transport", simultaneous=3)
    for number in range(6):
        many(f"{number}.example", 1)
    assert ask_together(6).count(None) == 3


def test_a_rate_of_the_transport_holds_for_those_who_ask_together():
    limit(scope="transport", per_minute=24)
    many("0.example", 3)
    many("1.example", 1)
    many("2.example", 1)
    batches = ask_together(3, batch=10)
    assert sum(len(batch.recipients) for batch in batches if batch) == 4
    assert claim() is None


def test_slots_are_left_for_those_that_work_when_many_ask_together():
    for number in range(6):
        many(f"{number}.example", 1)
    assert ask_together(6, slots=4).count(None) == 3


def test_sessions_go_on_beside_those_who_begin():
    many("x.example", 6)
    many("y.example", 1)
    held = [batch for batch in claim_all(adaptive=False, limit=2) if batch.nexthop == X]
    nothing, *more = ask_together(1, *held, adaptive=False, limit=2)
    assert nothing is None
    assert [batch.lease_id for batch in more] == [batch.lease_id for batch in held]
    assert Recipient.objects.filter(state="queued").count() == 2


def test_a_transport_without_destinations_is_limited_as_a_whole():
    limit(scope="transport", transport="local", simultaneous=1)
    for _ in range(2):
        make_message("bob@here.example", created_at=timezone.now() - MINUTE)
    Recipient.objects.update(transport="local", nexthop="")
    here = terms(limit=0, adaptive=False)
    assert len(claim_limited("local", here).recipients) == 1
    assert claim_limited("local", here) is None


def test_what_is_learnt_twice_at_once_is_two_steps():
    many("x.example", 1)
    claim()
    Destination.objects.update(concurrency=16)
    lesson = Lesson("esmtp", X, Health.THROTTLED)
    destinations.learn_all([lesson, lesson, Lesson("esmtp", X, Health.OK)])
    assert (known().state, known().concurrency) == ("ok", 2)


@pytest.mark.django_db(transaction=True)
def test_a_destination_that_is_down_waits_for_its_probe_which_is_one_message():
    many("x.example", 5)
    failed = claim(batch=2)
    learn(X, Health.DOWN, reply="451 4.4.1 refused", pause=True)
    outcomes.record(failed, [], last=True)
    assert claim(batch=10) is None
    assert set(Recipient.objects.filter(state="queued").values_list("attempts", flat=True)) == {0}

    assert destinations.probe_now("esmtp", X)
    assert len(claim(batch=10).recipients) == 1
    assert claim(batch=10) is None


def test_the_pause_grows_to_its_longest_and_several_failures_at_once_are_one():
    many("x.example", 1)
    claim()
    pauses = []
    for _ in range(5):
        learn(X, Health.DOWN, pause=True)
        learn(X, Health.DOWN, pause=True)
        pauses.append(round((known().next_probe - timezone.now()).total_seconds() / 60))
        Destination.objects.update(next_probe=timezone.now() - MINUTE)
    assert pauses == [1, 2, 4, 5, 5]
    assert known().failures == 5


def test_when_it_is_back_all_that_only_waited_for_it_is_due_in_groups():
    later = timezone.now() + timedelta(hours=2)
    many("x.example", 3)
    claim()
    Recipient.objects.update(state="queued", lease=None, attempts=1, next_attempt=later)
    greylisted = Recipient.objects.first()
    Recipient.objects.filter(id=greylisted.id).update(last_command="RCPT TO:<0@x.example>")
    learn(X, Health.DOWN, pause=True)
    learn(X, Health.OK)
    soon = timezone.now() + MINUTE
    assert Recipient.objects.filter(next_attempt__lt=soon).count() == 2
    assert Recipient.objects.get(id=greylisted.id).next_attempt == later
    assert (known().state, known().failures, known().next_probe) == ("ok", 0, None)


def test_complaints_halve_what_goes_at_once():
    many("x.example", 20)
    claim()
    Destination.objects.update(concurrency=8)
    claim_all(limit=8)
    assert Lease.objects.count() == 8
    learn(X, Health.THROTTLED, reply="421 4.7.0 too many")
    assert (known().concurrency, known().state) == (4, "throttled")
    learn(X, Health.OK)
    assert (known().concurrency, known().state) == (5, "ok")


def test_a_paused_destination_gets_nothing_and_others_go_on():
    many("x.example", 1)
    many("y.example", 1)
    destinations.pause("esmtp", X)
    assert [batch.nexthop for batch in claim_all()] == [Y]
    learn(X, Health.OK)
    assert claim() is None
    assert destinations.resume("esmtp", X)
    assert claim().nexthop == X
    assert not destinations.resume("esmtp", X)


def test_a_session_goes_on_with_what_waits_and_not_beyond_rate_or_pause():
    limit(scope="destination", nexthop=X, per_minute=18)
    many("x.example", 9)
    batch = claim(batch=1)
    more = claim_more(batch, terms(batch=5))
    assert len(more) == 2
    assert Recipient.objects.filter(lease_id=batch.lease_id).count() == 3
    assert claim_more(batch, terms(batch=5)) == ()
    Destination.objects.update(tokens=3)
    destinations.pause("esmtp", X)
    assert claim_more(batch, terms(batch=5)) == ()


def test_an_expiry_at_a_dead_destination_is_taken_with_the_failed_probe():
    many("x.example", 3)
    batch = claim()
    overdue = Recipient.objects.filter(state="queued").first()
    Recipient.objects.filter(id=overdue.id).update(expires_at=timezone.now() - MINUTE)
    assert [each.id for each in lease.take_overdue(batch, 10)] == [overdue.id]
    assert lease.take_overdue(batch, 10) == ()


def test_limits_are_looked_up_anew_with_a_new_version_of_the_policy():
    assert not has_limits("pipe", 900_001)
    limit(scope="transport", transport="pipe", simultaneous=1)
    assert has_limits("pipe", 900_002)


def test_the_listing_shows_trouble_first():
    many("y.example", 3)
    many("x.example", 1)
    claim()
    destinations.pause("esmtp", X)
    rows = destinations.listing()
    assert [row.nexthop for row in rows] == [X, Y]
    assert rows[0].state == "paused"
    assert [row.nexthop for row in destinations.listing(name="y.example")] == [Y]


def make_destination(nexthop: str, **fields) -> None:
    month_ago = timezone.now() - timedelta(days=31)
    Destination.objects.create(
        **{
            "transport": "esmtp",
            "nexthop": nexthop,
            "served_at": month_ago,
            "changed_at": month_ago,
            **fields,
        }
    )


def test_a_destination_without_mail_is_forgotten_unless_somebody_has_dealt_with_it():
    make_destination("mx:unused.example", last_ok_at=timezone.now() - timedelta(days=31))
    make_destination("mx:dead.example", state="down")
    make_destination("mx:recent.example", served_at=timezone.now() - timedelta(days=29))
    make_destination("mx:paused.example", state="paused")
    make_destination("mx:limited.example")
    make_destination("mx:waiting.example")
    make_destination("mx:busy.example")
    make_destination("*")
    DeliveryLimit.objects.create(nexthop="mx:limited.example", simultaneous=1)
    make_message("a@waiting.example")
    now = timezone.now()
    Lease.objects.create(
        transport="esmtp", nexthop="mx:busy.example", owner="x", acquired_at=now, expires_at=now
    )

    assert destinations.forget(now - timedelta(days=30)) == 2
    kept = set(Destination.objects.values_list("nexthop", flat=True))
    names = {f"mx:{name}.example" for name in ("recent", "paused", "limited", "waiting", "busy")}
    assert kept == {"*", *names}

    assert destinations.forget(now - timedelta(days=28)) == 1
    assert not Destination.objects.filter(nexthop="mx:recent.example").exists()
