#!/usr/bin/env python3
"""Measures whether the queue falls back to its size after a burst of mail.

    python3 tests/bench/burst.py [--messages 20000]

In a database of its own (made beside that of DATABASE_URL, and dropped at the end) it commits a
burst of messages, claims and finishes them all, forgets them as the sweep does, and tidies up. The
sizes of tables and indexes and the time of a claim are printed before (when ordinary mail has come
and gone), at the top, after and at the end. The environment is that of manage.py: run it where the
tests run.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "courierweb.settings")

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402

from mta.models import Attempt, Message, Settings, State  # noqa: E402
from mta.queue import commit, lease, outcomes, prepared, retention, upkeep  # noqa: E402
from mta.queue.lease import Batch  # noqa: E402
from mta.queue.outcomes import Settlement  # noqa: E402
from tests.queue.submissions import submission  # noqa: E402

BATCH = 500
PROBES = 100
USUAL = 2000
MIB = 1 << 20
CONTENT = b"Subject: bench\r\n\r\n" + (b"x" * 76 + b"\r\n") * 50


def main() -> None:
    parser = argparse.ArgumentParser(description="Sizes and claim times before and after a burst.")
    parser.add_argument("--messages", type=int, default=20_000)
    count = parser.parse_args().messages
    # Not the name that the tests use: they may be running.
    connection.settings_dict["TEST"]["NAME"] = f"bench_{connection.settings_dict['NAME']}"
    name = connection.creation.create_test_db(verbosity=0, serialize=False)
    try:
        print(f"{count:,} messages of {len(CONTENT):,} octets in the database {name}")
        burst(count)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def burst(count: int) -> None:
    show("never used", claim_time())
    use()
    show("before", claim_time())
    timed(f"committed {count:,}", lambda: fill(count))
    show("at the top", claim_time())
    timed("claimed and finished", finish_all)
    show("finished", claim_time())
    timed("forgotten", forget)
    show("forgotten", claim_time())
    timed("tidied", upkeep.tidy)
    show("tidied", claim_time())
    # What came in between lies behind the rows of the burst, and keeps their room until it goes.
    timed("forgotten and tidied again", forget_and_tidy)
    timed("waited until plans are made anew", lambda: time.sleep(prepared.KEEP_SECONDS))
    show("in the end", claim_time())


def use() -> None:
    """Ordinary mail came and went before, and the tables were looked after.

    Until then the database knows nothing of them, and plans differently.
    """
    fill(USUAL)
    finish_all()
    forget_and_tidy()


def fill(count: int) -> None:
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        commit.commit([submission(content=CONTENT) for _ in range(size)])


def claim(batch: int) -> Batch | None:
    return lease.claim("local", batch=batch, lease=timedelta(minutes=1), owner="bench")


def claim_time() -> float:
    """The median time of a claim of one message that has just come, in ms."""
    times = []
    for _ in range(PROBES):
        commit.commit([submission(content=CONTENT)])
        begin = time.perf_counter()
        batch = claim(1)
        times.append((time.perf_counter() - begin) * 1000)
        assert batch is not None
        finish(batch)
    return statistics.median(times)


def finish_all() -> None:
    while (batch := claim(200)) is not None:
        finish(batch)


def finish(batch: Batch) -> None:
    settlements = [
        Settlement(
            recipient_id=recipient.id,
            message_id=recipient.message_id,
            number=recipient.attempts,
            state=State.DELIVERED,
            result=Attempt.Result.SENT,
            reply="250 2.0.0 delivered",
        )
        for recipient in batch.recipients
    ]
    outcomes.record(batch, settlements, last=True)


def forget() -> None:
    """The sweep, with nothing to be kept, until nothing is left."""
    keep_nothing = Settings(keep_history=timedelta(0), keep_content=timedelta(0))
    while Message.objects.exists():
        retention.roll_up()
        retention.sweep(keep_nothing)


def forget_and_tidy() -> None:
    forget()
    upkeep.tidy()


def timed(what: str, work: Callable[[], object]) -> None:
    begin = time.perf_counter()
    work()
    print(f"-- {what} in {time.perf_counter() - begin:.1f} s")


def show(when: str, claimed: float) -> None:
    sizes = upkeep.sizes()
    tables, indexes = sum(s.table for s in sizes), sum(s.indexes for s in sizes)
    print(
        f"{when:12}  claim {claimed:7.2f} ms  tables {tables / MIB:8.1f} MiB"
        f"  indexes {indexes / MIB:8.1f} MiB"
    )
    for size in sizes:
        if size.table + size.indexes >= MIB:
            print(
                f"    {size.name:16} {size.table / MIB:8.1f} MiB"
                f"  indexes {size.indexes / MIB:8.1f} MiB"
            )


if __name__ == "__main__":
    main()
