"""Step 5: a runner claims batch after batch of a transport, until nothing is due or its time is
over.

All state is in the database, so any number of runners may work at once, and one that is killed
loses nothing but time.
"""

import time

from mta.queue import lease
from mta.queue.lease import Batch
from mta.queue.limited_claim import claim_limited, has_limits
from mta.scheduler.delivery import Delivery
from mta.scheduler.workshop import Workshop
from mta.transports.base import Pool, Transport

RUN_SECONDS = 3.0
# Mail comes in streams: looking again for a moment costs less than being called anew, and a
# batch costs the same for one message as for twenty. The first message of a stream waits for
# nothing.
LINGER_SECONDS = 0.25
GATHER_SECONDS = 0.02
GATHER_BELOW = 50


def run(transport: Transport, shop: Workshop) -> int:
    """Deliver what is due for a transport; gives the number of recipients worked on.

    Ends when nothing is due, after RUN_SECONDS (then another runner is called for), or when the
    worker is stopping.
    """
    worked = 0
    waits = transport.pool is Pool.REMOTE
    end = time.monotonic() + RUN_SECONDS
    linger_until = 0.0
    while not shop.stopping():
        if time.monotonic() > end:
            (shop.another if waits else shop.nudge)(transport.name)
            break
        with shop.lent(transport):
            batch = _claim(transport, shop)
        if batch is None:
            if time.monotonic() > linger_until:
                break
            time.sleep(GATHER_SECONDS)
            continue
        if waits:
            # Other destinations may be due: each runner that found work calls for one more.
            shop.another(transport.name)
        else:
            linger_until = time.monotonic() + LINGER_SECONDS
        Delivery(batch, transport, shop).run()
        worked += len(batch.recipients)
        if not waits and len(batch.recipients) < GATHER_BELOW:
            time.sleep(GATHER_SECONDS)
    return worked


def _claim(transport: Transport, shop: Workshop) -> Batch | None:
    is_limited = has_limits(transport.name, shop.directory.policy.version)
    if transport.pool is Pool.LOCAL and not is_limited:
        length = shop.directory.settings.lease
        batch = lease.claim(transport.name, batch=transport.batch, lease=length, owner=shop.owner)
        # The version comes with the claim; only another one is worth a question of its own.
        if batch is not None and batch.policy_version != shop.directory.policy.version:
            shop.directory.refresh()
        return batch
    shop.directory.refresh()
    return claim_limited(transport.name, shop.terms(transport))
