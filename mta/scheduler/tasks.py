"""The Celery tasks: a few words each, since all state is in the database.

Repeating, losing or reordering any of them changes when something happens, never whether.
"""

from celery import shared_task

from mta import runtime


@shared_task(name="mta.deliver", ignore_result=True)
def deliver(transport: str) -> None:
    """Deliver what is due for a transport."""
    runtime.deliver(transport)


@shared_task(name="mta.report", ignore_result=True)
def report() -> None:
    """Send the DSNs that are due."""
    runtime.send_reports()


@shared_task(name="mta.tick", ignore_result=True, expires=10)
def tick() -> None:
    """Every few seconds: end dead leases, and call runners for whatever is due."""
    runtime.tick()


@shared_task(name="mta.sweep", ignore_result=True, expires=30)
def sweep() -> None:
    """Roll up the counts, delete what is older than its retention."""
    runtime.sweep()
