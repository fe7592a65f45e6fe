"""GET /metrics in the Prometheus text format.

Everything is read from the database at the moment of the scrape, so any web process gives the
same answer.
"""

import ipaddress
import logging
from collections.abc import Iterable, Iterator

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from courierweb.console import health
from mta.models import PolicyState
from mta.queue import history

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For a scraper on this machine without sign-in; from elsewhere for the signed-in only."""
    if not _is_local(request) and not request.user.is_staff:
        return HttpResponse("sign in, or ask from this machine\n", "text/plain", status=403)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Appliance())
    try:
        text = generate_latest(registry)
    except DatabaseError as error:
        logger.warning("no metrics: %s", error)
        return HttpResponse("the database does not answer\n", "text/plain", status=503)
    return HttpResponse(text, CONTENT_TYPE_PLAIN_0_0_4)


def _is_local(request: HttpRequest) -> bool:
    """Whether the client itself, not a proxy on this machine, has a loopback address."""
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class Appliance(Collector):
    """The metric families of the whole appliance."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from _parts()
        yield _events()
        yield from _queue()
        version = PolicyState.objects.values_list("version", flat=True).first() or 0
        yield GaugeMetricFamily(
            "courierweb_policy_version", "Version of the policy in force", value=version
        )


def _parts() -> Iterator[Metric]:
    up = GaugeMetricFamily("courierweb_part_up", "Whether a part is up", labels=["part"])
    age = GaugeMetricFamily(
        "courierweb_heartbeat_age_seconds", "Age of the last sign of life", labels=["part"]
    )
    for part in health.parts():
        up.add_metric([part.name], float(part.ok))
        if part.age is not None:
            age.add_metric([part.name], part.age.total_seconds())
    yield up
    yield age


def _events() -> Metric:
    """Counts by kind since the oldest minute that is kept."""
    family = CounterMetricFamily("courierweb_events", "Mail events by kind", labels=["kind"])
    for kind, count in history.totals().items():
        family.add_metric([kind], count)
    return family


def _queue() -> Iterator[Metric]:
    gauge = GaugeMetricFamily(
        "courierweb_queue_recipients", "Recipients in the queue", labels=["state"]
    )
    for state, count in history.queue_counts().items():
        gauge.add_metric([state], count)
    yield gauge
    oldest = history.oldest_live()
    seconds = (timezone.now() - oldest.created_at).total_seconds() if oldest else 0
    yield GaugeMetricFamily(
        "courierweb_queue_oldest_seconds", "Age of the oldest message in the queue", value=seconds
    )
