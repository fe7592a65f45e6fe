"""status: which parts are alive, what is in the queue, and the version of the policy."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Max
from django.utils import timezone

from mta import runtime
from mta.management.appliance_command import ApplianceCommand, add_json
from mta.models import Heartbeat, PolicyState
from mta.queue import history
from mta.queue.heartbeat import FRESH

PARTS = ("ingress", "managesieve", "submit", "worker-local", "worker-remote", "beat", "rq")


class Command(ApplianceCommand):
    help = "Show whether every part is alive, and what is in the queue."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        status: dict[str, Any] = {
            "hostname": runtime.hostname(),
            "parts": _parts(),
            "queue": history.queue_counts(),
            "totals": history.totals(),
            "policy_version": PolicyState.objects.values_list("version", flat=True).get(id=1),
        }
        if options["json"]:
            self.write_json(status)
            return
        self.write_table(status["parts"])
        for name in ("queue", "totals"):
            counts = ", ".join(f"{count} {kind}" for kind, count in status[name].items())
            self.stdout.write(f"{name}: {counts}")
        self.stdout.write(f"policy version {status['policy_version']} on {status['hostname']}")


def _parts() -> list[dict[str, Any]]:
    """Every part with the age of its last sign of life in seconds, None when never seen."""
    now = timezone.now()
    beats = dict(Heartbeat.objects.values_list("part").annotate(last=Max("at")))
    rows = []
    for part in PARTS:
        age = max(now - beats[part], timedelta(0)).total_seconds() if part in beats else None
        up = age is not None and age <= FRESH
        rows.append({"part": part, "up": up, "age": None if age is None else round(age, 1)})
    return rows
