"""kill -9 of every part under load: nothing that was acknowledged is lost.

The oracle is outside: a ledger of the replies that clients have read, compared with the files
in a Maildir and with what another host was given.
"""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import redis

from tests.e2e.load import SENDERS, Arrivals, Load
from tests.support.appliance import Appliance, wait_for
from tests.support.sink import Sink, SinkSession

pytestmark = pytest.mark.e2e

BOX = "load@kill.test"
FAR = "load@far-away.example"
PARTS = (
    "ingress-1",
    "worker-local",
    "worker-remote",
    "beat",
    "rq",
    "web",
    "valkey",
    "postgresql",
)
# These may die between the other host's answer and the record of it.
MAY_LEAVE_UNCERTAIN = ("worker-remote", "postgresql")
# Kills of each, with so many acknowledged messages before and after each.
KILLS = 2
ENOUGH = 40
# Sessions that one next hop may have at once (setting maxhost), each with one message whose
# final dot may have been sent.
SESSIONS = 4


@pytest.fixture(scope="module")
def sink(appliance: Appliance) -> Iterator[Sink]:
    """The appliance with a short lease, a mailbox, and another host that takes everything."""
    appliance.manage("domain", "add", "kill.test")
    appliance.manage("mailbox", "add", BOX, "--password", "correct horse")
    appliance.manage("access", "set", "127.0.0.1", "allow", "relay")
    appliance.manage("setting", "set", "lease", "5s")
    with Sink() as sink:
        appliance.manage("route", "set", "far-away.example", f"127.0.0.1:{sink.port}")
        yield sink
    appliance.manage("setting", "set", "lease", "60s")
    appliance.manage("access", "remove", "127.0.0.1")


@pytest.fixture(scope="module")
def arrivals(appliance: Appliance, sink: Sink) -> Arrivals:
    return Arrivals(appliance, BOX, sink)


def nothing_is_lost(appliance: Appliance, load: Load, arrivals: Arrivals) -> None:
    """The appliance comes to rest with every acknowledged message where it belongs."""
    wait_for(
        lambda: not arrivals.missing(load.acknowledged),
        "every acknowledged message to arrive",
        seconds=90,
    )
    wait_for(lambda: not appliance.mailq(), "an empty queue")
    wait_for(appliance.is_healthy, "/healthz to answer 200")
    assert load.refused_for_good == []


def nothing_came_twice(load: Load, arrivals: Arrivals, *, uncertain: int = 0) -> None:
    """Except what clients sent twice, having had no answer: one message per connection and kill.

    At the other host, so many more as were between its answer and our record of it.
    """
    local, remote = arrivals.twice(load.acknowledged)
    assert local <= load.doubtful
    assert len(local) <= SENDERS * KILLS
    assert len(remote - load.doubtful) <= uncertain


def test_old_workers_start_anew_in_the_middle_of_work(
    appliance: Appliance, sink: Sink, arrivals: Arrivals
) -> None:
    """They end in good order: nothing is lost, and nothing is sent twice."""
    workers = {part: appliance.pids(part)[0] for part in ("worker-local", "worker-remote")}
    with Load(appliance, "old", BOX, FAR) as load:
        load.wait_for_more(ENOUGH)
        appliance.manage("setting", "set", "respawnhi", "1m")
        for part, pid in workers.items():
            # The shortest age that there is, and then some.
            appliance.wait_for_restart(part, pid, seconds=120)
        appliance.manage("setting", "set", "respawnhi", "7d")
        load.wait_for_more(ENOUGH)
    nothing_is_lost(appliance, load, arrivals)
    nothing_came_twice(load, arrivals)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_killed(appliance: Appliance, sink: Sink, arrivals: Arrivals, part: str) -> None:
    with Load(appliance, part, BOX, FAR) as load:
        for _ in range(KILLS):
            load.wait_for_more(ENOUGH)
            pid = appliance.kill(part)
            appliance.wait_for_restart(part, pid)
        load.wait_for_more(ENOUGH)
    nothing_is_lost(appliance, load, arrivals)
    uncertain = SESSIONS * KILLS if part in MAY_LEAVE_UNCERTAIN else 0
    nothing_came_twice(load, arrivals, uncertain=uncertain)


def test_the_processes_of_the_local_worker_are_killed(
    appliance: Appliance, sink: Sink, arrivals: Arrivals
) -> None:
    """The worker's own parent process goes on and has to replace them."""
    with Load(appliance, "pool", BOX, FAR) as load:
        for _ in range(KILLS):
            load.wait_for_more(ENOUGH)
            _, *pool = appliance.pids("worker-local")
            for pid in pool:
                os.kill(pid, signal.SIGKILL)
        load.wait_for_more(ENOUGH)
    nothing_is_lost(appliance, load, arrivals)
    nothing_came_twice(load, arrivals)


def test_the_broker_forgets_everything(
    appliance: Appliance, sink: Sink, arrivals: Arrivals
) -> None:
    broker = redis.Redis.from_url(appliance.broker_url)
    with Load(appliance, "flush", BOX, FAR) as load, broker:
        for _ in range(ENOUGH):
            load.wait_for_more(1)
            broker.flushall()
    nothing_is_lost(appliance, load, arrivals)
    nothing_came_twice(load, arrivals)


def test_the_worker_dies_between_the_answer_and_its_record(
    appliance: Appliance, sink: Sink, arrivals: Arrivals
) -> None:
    """The message comes twice to the other host, and its timeline says why."""
    died = threading.Event()

    def answer(session: SinkSession, line: str) -> str:
        if not died.is_set():
            died.set()
            appliance.kill("worker-remote")
        return "250 2.0.0 queued as SINK"

    sink.replies["."] = answer
    content = b"Subject: once\r\nX-Load: once\r\n\r\ntext\r\n"
    queue_id = appliance.send("load@elsewhere.example", [FAR], content)
    wait_for(lambda: appliance.mailq() == [], "an empty queue")
    arrivals.look()
    assert arrivals.remote["once"] == 2
    events = appliance.trace(queue_id)["events"]
    assert [e["kind"] for e in events if e["kind"] in ("uncertain", "sent")] == [
        "uncertain",
        "sent",
    ]


def test_the_appliance_is_stopped_and_started_again(
    appliance: Appliance, sink: Sink, arrivals: Arrivals
) -> None:
    with Load(appliance, "stop", BOX, FAR) as load:
        load.wait_for_more(ENOUGH)
        appliance.stop()
        appliance.start()
        load.wait_for_more(ENOUGH)
    nothing_is_lost(appliance, load, arrivals)
    nothing_came_twice(load, arrivals)


def test_the_supervisor_is_killed(appliance: Appliance, sink: Sink, arrivals: Arrivals) -> None:
    """It takes everything with it, and the next start finds everything as it was."""
    with Load(appliance, "crash", BOX, FAR) as load:
        load.wait_for_more(ENOUGH)
        appliance.crash()
        appliance.start()
        load.wait_for_more(ENOUGH)
    nothing_is_lost(appliance, load, arrivals)
    nothing_came_twice(load, arrivals, uncertain=SESSIONS * KILLS)
