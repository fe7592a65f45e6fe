"""From the queue over a real connection to what an administrator is shown of TLS."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from mta import runtime
from mta.models import Recipient, Route, State
from mta.queue import tls_tallies
from tests.queue.rows import make_message
from tests.support.sink import Sink, Tls
from tests.support.smtp_session import disconnect_others

# Deliveries to other hosts have database connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_directory() -> Iterator[None]:
    for made in (runtime.directory, runtime.workshop, runtime.loans):
        made.cache_clear()
    yield
    for made in (runtime.directory, runtime.workshop, runtime.loans):
        made.cache_clear()
    disconnect_others()


def deliver(sink: Sink, security: str = "") -> tls_tallies.Destination:
    """Deliver one message by a route to the sink; gives what is shown of the destination."""
    Route.objects.create(domain="x.example", relay="[127.0.0.1]", port=sink.port, security=security)
    runtime.directory().refresh()
    make_message("bob@x.example", created_at=timezone.now() - timedelta(minutes=1))
    assert runtime.deliver("esmtp")
    (destination,) = tls_tallies.destinations()
    return destination


def test_a_session_that_is_secured() -> None:
    with Sink(tls=Tls.STARTTLS) as sink:
        shown = deliver(sink)
    assert (shown.domain, shown.protection, shown.good) == ("[127.0.0.1]", "opportunistic TLS", 1)
    assert Recipient.objects.get().state == State.RELAYED


def test_a_route_that_demands_what_the_peer_has_not() -> None:
    with Sink() as sink:
        shown = deliver(sink, "REQUIRED")
    assert (shown.good, shown.failed, shown.word) == (0, 1, "starttls-not-supported")
    assert shown.failing
    recipient = Recipient.objects.get()
    assert recipient.state == State.QUEUED
    assert recipient.last_reply.startswith("451 4.7.4 [127.0.0.1]: the peer does not offer")
