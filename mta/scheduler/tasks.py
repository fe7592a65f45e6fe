"""The Celery tasks: a few words each, since all state is in the database.

Repeating, losing or reordering any of them changes when something happens, never whether.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.db import InterfaceError, InternalError, OperationalError, connection

from mta import runtime

log = logging.getLogger(__name__)


@shared_task(name="mta.deliver", ignore_result=True)
def deliver(transport: str) -> None:
    """Deliver what is due for a transport."""
    with _patience():
        runtime.start_delivery(transport)


@shared_task(name="mta.report", ignore_result=True)
def report() -> None:
    """Send the DSNs that are due."""
    with _patience():
        runtime.send_reports()


@shared_task(name="mta.tick", ignore_result=True, expires=10)
def tick() -> None:
    """Every few seconds: end dead leases, and call runners for whatever is due."""
    with _patience():
        runtime.tick()


@shared_task(name="mta.sweep", ignore_result=True, expires=30)
def sweep() -> None:
    """Roll up the counts, delete what is older than its retention."""
    with _patience():
        runtime.sweep()


@contextmanager
def _patience() -> Iterator[None]:
    """A database that is away is a line in the log; the next tick finds the work."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        log.warning("the database does not answer: %s", error)
        connection.close()
    except InternalError as error:
        # Such as a database that is read-only for a while: everything waits.
        log.error("the database does not take changes: %s", error)
        connection.close()
