"""On the wire: what waits for a host goes over the connection that is open to it."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from mta.directory import Directory
from mta.models import Recipient, Route, Settings, State
from mta.policy.routing import relay_word
from mta.scheduler import runner
from mta.scheduler.workshop import Workshop
from mta.transports.base import DeliveryContext
from mta.transports.esmtp import Esmtp
from tests.queue import rows
from tests.support.sink import Do, Sink, SinkSession

pytestmark = pytest.mark.django_db(transaction=True)


def queue(*addresses: str) -> None:
    """A message for each, due for a minute and routed, as the ingress would leave it."""
    for address in addresses:
        message = rows.make_message(created_at=timezone.now() - timedelta(minutes=1))
        route = Route.objects.get(domain=address.partition("@")[2])
        nexthop = relay_word(route.relay, route.port)
        message.recipient_set.update(address=address, nexthop=nexthop)


def route(domain: str, sink: Sink) -> None:
    Route.objects.create(domain=domain, relay="[127.0.0.1]", port=sink.port)


def one_at_a_time() -> None:
    """Each message is a claim of its own."""
    Settings.load()
    Settings.objects.update(batchsize=1)


def run() -> int:
    transport = Esmtp()
    return runner.run(
        transport,
        Workshop(
            transports=(transport,),
            directory=Directory("mail.example.test"),
            context=lambda contents, committing: DeliveryContext(
                hostname="mail.example.test",
                mail_root=Path("unused"),
                content=contents,
                committing=committing,
                stopping=lambda: False,
            ),
            nudge=lambda name: None,
            reports_due=lambda: None,
            stopping=lambda: False,
            owner="test",
        ),
    )


def test_messages_of_many_claims_share_one_connection():
    one_at_a_time()
    with Sink() as sink:
        route("x.example", sink)
        queue(*(f"{number}@x.example" for number in range(5)))
        run()
        sink.wait_for(messages=5)
    assert len(sink.sessions) == 1
    assert sink.sessions[0].verbs.count("EHLO") == 1
    assert sink.sessions[0].verbs.count("MAIL") == 5
    assert set(Recipient.objects.values_list("state", flat=True)) == {State.RELAYED}


def test_a_message_that_comes_while_the_connection_is_open_goes_over_it():
    def another_comes(session: SinkSession, line: str) -> str:
        if session.verbs.count("DATA") == 1:
            queue("late@x.example")
            connection.close()
        return "250 2.0.0 ok"

    one_at_a_time()
    with Sink({".": another_comes}) as sink:
        route("x.example", sink)
        queue("early@x.example")
        run()
        sink.wait_for(messages=2)
    assert len(sink.sessions) == 1
    assert [message.recipients for message in sink.messages] == [
        ["early@x.example"],
        ["late@x.example"],
    ]


def test_two_hosts_have_a_connection_each():
    one_at_a_time()
    with Sink() as x, Sink() as y:
        route("x.example", x)
        route("y.example", y)
        queue("1@x.example", "1@y.example", "2@x.example", "2@y.example")
        run()
        for sink in (x, y):
            sink.wait_for(messages=2)
            assert len(sink.sessions) == 1


def test_a_host_that_closes_after_each_message_gets_a_connection_for_the_next():
    one_at_a_time()
    with Sink({".": ("250 2.0.0 ok", Do.CLOSE)}) as sink:
        route("x.example", sink)
        queue("1@x.example", "2@x.example", "3@x.example")
        run()
        sink.wait_for(messages=3)
    assert len(sink.sessions) >= 3
    assert Recipient.objects.filter(state=State.RELAYED).count() == 3
