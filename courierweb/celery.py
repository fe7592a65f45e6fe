"""The Celery application: carries nudges and ids, never mail and never state.

Two worker programs: `local` (prefork: writing Maildirs is work for the processor) and `remote`
(threads: talking to other hosts is waiting). Beat ticks, so that a lost nudge costs seconds.
"""

import os
from typing import Any

from celery import Celery, signals
from celery.worker import state

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "courierweb.settings")

app = Celery("courierweb")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["mta.scheduler"])


@signals.setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Django has set up logging already; Celery's own set-up would hide the mail log."""


@signals.worker_ready.connect
def start_heartbeat(sender: Any, **_: Any) -> None:
    """The worker's name, "local@host", says which part of the appliance it is."""
    from mta.queue import heartbeat  # noqa: PLC0415  (models exist only after django.setup)

    heartbeat.keep_beating(f"worker-{sender.hostname.split('@')[0]}")


@signals.worker_ready.connect
def watch_age(**_: Any) -> None:
    from courierweb import recycling  # noqa: PLC0415

    recycling.watch(lambda: not state.active_requests)


@signals.worker_shutting_down.connect
def stop_taking_work(**_: Any) -> None:
    """Runners in this process finish the batch at hand and take no other."""
    from mta import runtime  # noqa: PLC0415

    runtime.stop()
