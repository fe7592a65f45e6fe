"""The RQ worker shows the sign of life that /healthz looks for."""

import django_rq
import pytest

from courierweb.jobs.worker import HeartbeatWorker
from mta.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_worker_of_the_settings_beats_until_it_ends():
    worker = django_rq.get_worker("default")
    assert isinstance(worker, HeartbeatWorker)
    worker.heartbeat()
    worker.heartbeat()
    assert Heartbeat.objects.get().part == "rq"
    worker.register_death()
    assert not Heartbeat.objects.exists()
