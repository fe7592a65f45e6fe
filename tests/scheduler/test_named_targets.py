"""From the queue through a runner to a real program and a real web server."""

import os
import pwd
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from mta import runtime
from mta.models import Attempt, Destination, Program, Recipient, Route, State, Webhook
from mta.scheduler import runner
from mta.scheduler.workshop import Workshop
from mta.transports import registry
from tests.queue import rows
from tests.support.web import WebServer, reply

pytestmark = pytest.mark.django_db

USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
CONTENT = b"Subject: x\r\n\r\nHello\r\n"


@pytest.fixture(autouse=True)
def fresh_directory() -> Iterator[None]:
    runtime.directory.cache_clear()
    yield
    runtime.directory.cache_clear()


def run(name: str) -> int:
    runtime.directory().refresh()
    return runner.run(
        registry.get(name),
        Workshop(
            transports=registry.by_priority(),
            directory=runtime.directory(),
            context=runtime.delivery_context,
            nudge=lambda name: None,
            reports_due=lambda: None,
            stopping=lambda: False,
            owner="test",
        ),
    )


def queue(nexthop: str, *addresses: str) -> None:
    due = timezone.now() - timedelta(minutes=1)
    rows.make_message(*addresses, created_at=due, content=CONTENT)
    transport = nexthop.partition(":")[0]
    Recipient.objects.update(transport=transport, nexthop=nexthop, next_attempt=due)


def route(nexthop: str) -> None:
    row = Route(domain="example.com", relay=nexthop)
    row.full_clean()
    row.save()


def program(text: str) -> Program:
    argv = ["/bin/sh", "-c", text, "sh", "${recipient}"]
    row = Program(name="archive", argv=argv, user=USER)
    row.full_clean()
    row.save()
    return row


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "state"))


def test_a_program_delivers_one_fails_one_and_defers_one():
    program("case $1 in ann@*) cat;; bob@*) echo closed; exit 67;; *) exit 75;; esac")
    route("pipe:archive")
    queue("pipe:archive", "ann@example.com", "bob@example.com", "cid@example.com")
    run("pipe")
    assert states() == {
        "ann@example.com": State.DELIVERED,
        "bob@example.com": State.FAILED,
        "cid@example.com": State.QUEUED,
    }
    replies = dict(Recipient.objects.values_list("address", "last_reply"))
    assert "Delivered-To: ann@example.com" in replies["ann@example.com"]
    assert replies["bob@example.com"] == "550 5.1.1 closed"
    assert Attempt.objects.count() == 3
    assert not Attempt.objects.filter(result=Attempt.Result.STARTED).exists()


def test_a_program_that_is_switched_off_keeps_its_mail_and_says_so():
    row = program("exit 0")
    route("pipe:archive")
    Program.objects.filter(pk=row.pk).update(enabled=False)
    queue("pipe:archive", "ann@example.com", "bob@example.com")
    run("pipe")
    assert set(states().values()) == {State.QUEUED}
    destination = Destination.objects.get(nexthop="pipe:archive")
    assert destination.state == Destination.State.DOWN
    assert "switched off" in destination.last_reply


def webhook(server: WebServer) -> None:
    row = Webhook(name="app", url=f"http://127.0.0.1:{server.port}/", private=True)
    row.make_secret()
    row.full_clean()
    row.save()
    route("http:app")


def test_a_webhook_gets_the_message_once_for_all():
    with WebServer(lambda request: [reply("202 Accepted")]) as server:
        webhook(server)
        queue("http:app", "ann@example.com", "bob@example.com")
        run("http")
    assert set(states().values()) == {State.DELIVERED}
    (request,) = server.requests
    assert request.body.endswith(CONTENT)


def test_a_webhook_that_asks_for_fewer_gets_fewer():
    with WebServer(lambda request: [reply("429 Slow Down", b"", "Retry-After: 60")]) as server:
        webhook(server)
        queue("http:app", "ann@example.com")
        run("http")
    assert states() == {"ann@example.com": State.QUEUED}
    assert "Retry-After: 60" in Recipient.objects.get().last_reply
    assert Destination.objects.get(nexthop="http:app").state == Destination.State.THROTTLED


def test_a_webhook_that_is_away_is_down_as_a_whole():
    with WebServer(lambda request: None) as server:
        webhook(server)
    queue("http:app", "ann@example.com")
    run("http")
    assert states() == {"ann@example.com": State.QUEUED}
    assert Destination.objects.get(nexthop="http:app").state == Destination.State.DOWN
