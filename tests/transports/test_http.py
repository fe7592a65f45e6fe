"""Mail posted to a webhook: a real web server on loopback, with all its moods."""

import base64
import hmac
import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat

import pytest

from mta.protocol.webhook import Webhook
from mta.transports.base import DeliveryContext, DeliveryRequest, Outcome, QueuedMessage, Result
from mta.transports.http import Http
from tests.support.certificates import Issued
from tests.support.dns import DnsServer
from tests.support.web import Received, WebServer, reply
from tests.transports import contract

CONTENT = b"Subject: x\r\n\r\nHello\r\n"
SECRET = "a shared secret"


def webhook(server: WebServer | int, **fields) -> Webhook:
    port = server if isinstance(server, int) else server.port
    return Webhook(
        "hook",
        **{
            "url": f"http://127.0.0.1:{port}/in",
            "secret": SECRET,
            "private": True,
            "timeout": 20.0,
            **fields,
        },
    )


def queued(number: int = 1, *addresses: str, **fields) -> QueuedMessage:
    return replace(contract.message(number, addresses or ("ann@example.com",), CONTENT), **fields)


def delivery(hook: Webhook | None, *messages: QueuedMessage, **context) -> Iterator[Outcome]:
    request = DeliveryRequest("http", "http:hook", messages or (queued(),))
    context.setdefault("content", lambda message_id: CONTENT)
    return Http().deliver(
        request,
        DeliveryContext(
            "mail.example.test",
            mail_root=None,  # type: ignore[arg-type]
            webhook={"hook": hook}.get,
            **context,
        ),
    )


def deliver(hook: Webhook | None, *messages: QueuedMessage, **context) -> list[Outcome]:
    outcomes = list(delivery(hook, *messages, **context))
    for outcome in outcomes:
        contract.check_outcome(outcome)
    return outcomes


def outcome(hook: Webhook | None, **context) -> Outcome:
    (only,) = deliver(hook, **context)
    return only


def always(*pieces: object) -> WebServer:
    return WebServer(lambda request: pieces)


def test_the_message_itself_with_its_envelope_in_the_header():
    with always(reply()) as server:
        got = deliver(webhook(server), queued(1, "ann@example.com", "bo b@example.com"))
    assert [each.result for each in got] == [Result.SENT, Result.SENT]
    (request,) = server.requests
    assert request.line == "POST /in HTTP/1.1"
    assert request.body == CONTENT
    assert request.fields["host"] == f"127.0.0.1:{server.port}"
    assert request.fields["content-type"] == "message/rfc822"
    assert request.fields["x-courierweb-sender"] == "<sender@example.net>"
    assert request.fields["x-courierweb-recipients"] == ('<ann@example.com>, <"bo b"@example.com>')
    assert request.fields["x-courierweb-queue-id"] == "0000000000001"


def test_one_object_with_everything():
    with always(reply()) as server:
        deliver(webhook(server, json=True), queued(1, "ann@example.com", "bob@example.com"))
    (request,) = server.requests
    said = json.loads(request.body)
    assert base64.b64decode(said["message"]) == CONTENT
    assert said["sender"] == "sender@example.net"
    assert [(each["id"], each["address"]) for each in said["recipients"]] == [
        (101, "ann@example.com"),
        (102, "bob@example.com"),
    ]
    assert request.fields["idempotency-key"] == f'"{said["idempotency_key"]}"'


@pytest.mark.parametrize("form", [False, True])
def test_the_signature_proves_the_body(form):
    with always(reply()) as server:
        deliver(webhook(server, json=form))
    (request,) = server.requests
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.fields["x-courierweb-signature"])
    assert match
    signed = match[1].encode() + b"." + request.body
    assert match[2] == hmac.new(SECRET.encode(), signed, "sha256").hexdigest()


def test_a_repeated_request_has_the_same_key():
    with always(reply("503 Later")) as server:
        hook = webhook(server)
        deliver(hook, queued(1))
        deliver(hook, queued(1))
        deliver(hook, queued(2))
    keys = [request.fields["idempotency-key"] for request in server.requests]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("status", "result", "enhanced"),
    [
        ("200 OK", Result.SENT, "2.0.0"),
        ("202 Accepted", Result.SENT, "2.0.0"),
        ("204 No Content", Result.SENT, "2.0.0"),
        ("301 Moved", Result.DEFERRED, "4.3.5"),
        ("304 Not Modified", Result.DEFERRED, "4.3.5"),
        ("400 Bad Request", Result.BOUNCED, "5.0.0"),
        ("401 Unauthorized", Result.DEFERRED, "4.3.5"),
        ("403 Forbidden", Result.DEFERRED, "4.3.5"),
        ("404 Not Found", Result.DEFERRED, "4.3.5"),
        ("422 Unprocessable Content", Result.BOUNCED, "5.0.0"),
        ("408 Timeout", Result.DEFERRED, "4.3.5"),
        ("413 Too Large", Result.BOUNCED, "5.3.4"),
        ("425 Too Early", Result.DEFERRED, "4.3.5"),
        ("429 Slow Down", Result.DEFERRED, "4.3.2"),
        ("500 Oops", Result.DEFERRED, "4.3.0"),
        ("503 Busy", Result.DEFERRED, "4.3.2"),
        ("799 What", Result.DEFERRED, "4.3.0"),
    ],
)
def test_what_the_status_means(status, result, enhanced):
    with always(reply(status)) as server:
        got = outcome(webhook(server))
    assert (got.result, got.reply.status) == (result, enhanced)
    assert status in got.reply.text
    assert not got.unreachable


def test_a_redirect_is_told_and_not_followed():
    with always(reply("302 Found", b"", "Location: http://127.0.0.1:1/x")) as server:
        got = outcome(webhook(server))
    assert "redirect to http://127.0.0.1:1/x is not followed" in got.reply.text
    assert len(server.requests) == 1


def test_why_and_when_again_are_told():
    answer = reply("429 Slow", b"too\nmany \x1b[2J", "Retry-After: 120", kind="text/plain")
    with always(answer) as server:
        text = outcome(webhook(server)).reply.text
    assert "Retry-After: 120" in text
    assert "too many ?[2J" in text


def results_for(answer: bytes) -> list[tuple[Result, str]]:
    with always(answer) as server:
        got = deliver(webhook(server), queued(1, "ann@example.com", "bob@example.com"))
    return [(each.result, str(each.reply)) for each in got]


def said(value: object) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return reply("200 OK", body, kind="application/json; charset=utf-8")


def test_each_recipient_may_have_a_result_of_its_own():
    verdict = {"result": "bounced", "text": "no\r\nsuch customer", "status": "5.1.1"}
    first, second = results_for(said({"recipients": {"bob@example.com": verdict}}))
    assert first[0] is Result.SENT
    assert second == (Result.BOUNCED, "550 5.1.1 no such customer")
    first, _ = results_for(said({"recipients": {"ann@example.com": {"result": "deferred"}}}))
    assert first == (Result.DEFERRED, "451 4.3.0 the webhook says deferred")


@pytest.mark.parametrize("value", [{}, {"recipients": {}}, {"ok": True}, b""])
def test_an_answer_that_says_nothing_of_them_is_success(value):
    assert [result for result, _ in results_for(said(value))] == [Result.SENT, Result.SENT]


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"\xff",
        b"[" * 60_000,
        b"[]",
        b"1",
        {"recipients": []},
        {"recipients": {"eve@example.com": {"result": "sent"}}},
        {"recipients": {"bob@example.com": "bounced"}},
        {"recipients": {"bob@example.com": {}}},
        {"recipients": {"bob@example.com": {"result": "failed"}}},
        {"recipients": {"bob@example.com": {"result": "sent", "more": "x"}}},
        {"recipients": {"bob@example.com": {"result": "sent", "text": 1}}},
        {"recipients": {"bob@example.com": {"result": "bounced", "status": "4.1.1"}}},
        {"x": "y" * 70_000},
    ],
)
def test_an_answer_that_cannot_be_understood_is_no_success(value):
    for result, text in results_for(said(value)):
        assert result is Result.DEFERRED
        assert "not so that it is clear" in text


def test_many_messages_share_a_connection():
    more = iter([(queued(3),), ()])
    with always(reply("200 OK", b"thanks")) as server:
        got = deliver(webhook(server), queued(1), queued(2), more=lambda: next(more))
    assert [each.recipient_id for each in got] == [101, 201, 301]
    assert {request.connection for request in server.requests} == {1}


def test_a_connection_that_was_closed_is_opened_anew():
    with always(reply("200 OK", b"", "Connection: close")) as server:
        got = deliver(webhook(server), queued(1), queued(2))
    assert [each.result for each in got] == [Result.SENT, Result.SENT]
    assert server.connections == 2


def test_very_many_recipients_take_several_requests():
    addresses = [f"user{number}@example.com" for number in range(60)]
    with always(reply()) as server:
        got = deliver(webhook(server), queued(1, *addresses))
        assert len(got) == 60
        assert len(server.requests) == 3
        deliver(webhook(server, json=True), queued(1, *addresses))
    assert len(server.requests) == 4


def test_a_large_message_arrives_whole():
    content = b"x" * 3_000_000 + b"\r\n"
    with always(reply()) as server:
        assert outcome(webhook(server), content=lambda _: content).result is Result.SENT
    assert server.requests[0].body == content


def test_too_large_a_message_is_not_even_posted():
    with always(reply()) as server:
        (got,) = deliver(webhook(server, sizelimit=10), queued(1))
    assert (got.result, got.reply.status) == (Result.BOUNCED, "5.3.4")
    assert server.requests == []


def test_a_server_that_says_no_before_it_has_everything():
    server = WebServer(lambda request: [reply("413 Too Large")], reads_body=False)
    with server:
        got = outcome(webhook(server), content=lambda _: b"x" * 30_000_000)
    # Whether its words get through is up to the network.
    assert (got.result, got.reply.status) in [
        (Result.BOUNCED, "5.3.4"),
        (Result.DEFERRED, "4.4.2"),
    ]


ENDLESS_HEADER = [b"HTTP/1.1 200 OK\r\n", *repeat(b"X: " + b"y" * 60_000 + b"\r\n", 200)]


@pytest.mark.parametrize(
    "pieces",
    [
        None,
        [b""],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-"],
        [b"SSH-2.0-OpenSSH\r\n\r\n"],
        [b"HTTP/1.1 abc\r\n\r\n"],
        [b"\x00" * 100_000],
        ENDLESS_HEADER,
    ],
    ids=[
        "closes",
        "says nothing",
        "body cut",
        "chunk cut",
        "chunk garbage",
        "header cut",
        "not HTTP",
        "status garbage",
        "zeros",
        "header without end",
    ],
)
def test_what_is_no_answer_is_tried_again(pieces: Sequence[bytes] | None):
    def answer(request: Received) -> Iterator[bytes] | None:
        return iter([*pieces]) if pieces is not None else None

    with WebServer(answer, keeps=False) as server:
        got = outcome(webhook(server, timeout=5.0))
    assert (got.result, got.reply.status) == (Result.DEFERRED, "4.4.2")
    assert "gave no answer" in got.reply.text


def test_a_body_without_end_is_not_read_to_its_end():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with WebServer(lambda request: [head, *repeat(piece, 500)]) as server:
        assert outcome(webhook(server)).result is Result.SENT


def test_a_silent_server_costs_its_time_twice_at_most():
    never = threading.Event()
    with always(never) as server:
        got = deliver(webhook(server, timeout=0.4), *(queued(number) for number in range(1, 6)))
        assert len(server.requests) == 2
        never.set()
    assert [each.unreachable for each in got] == [False, False, True, True, True]
    assert "within 0.4 seconds" in got[0].reply.text


def test_a_slow_server_is_not_given_more_time_for_each_octet():
    tick = threading.Event()

    def answer(request: Received) -> Iterator[object]:
        for octet in reply("200 OK", b"x" * 1000):
            yield bytes([octet])
            tick.wait(0.05)

    with WebServer(answer) as server:
        got = outcome(webhook(server, timeout=0.5))
    assert got.result is Result.DEFERRED
    assert "within 0.5 seconds" in got.reply.text


def test_nobody_there():
    with WebServer(lambda request: None) as server:
        port = server.port
    got = deliver(webhook(port), queued(1), queued(2))
    assert [(each.result, each.reply.status) for each in got] == [(Result.DEFERRED, "4.4.1")] * 2
    assert all(each.unreachable for each in got)
    assert "refused" in got[0].reply.text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"private": False}, "127.0.0.1 is in a private network"),
        ({"private": False, "url": "https://[::1]/"}, "::1 is in a private network"),
        ({"private": False, "url": "http://169.254.169.254/latest"}, "private network"),
        ({"private": False, "url": "https://localhost/"}, "private network"),
        ({"url": "http://8.8.8.8/"}, "without TLS nothing goes there"),
    ],
)
def test_addresses_that_mail_must_not_be_posted_to(fields, why):
    got = outcome(webhook(1, **fields))
    assert got.result is Result.DEFERRED
    assert got.unreachable
    assert why in got.reply.text


def test_a_name_that_points_into_our_network_is_refused():
    zone = {"hooks.example.com": {"A": ["127.0.0.1"]}}
    with DnsServer(zone) as dns_server, always(reply()) as server:
        hook = webhook(server, url=f"http://hooks.example.com:{server.port}/in")
        got = outcome(replace(hook, private=False), dns=dns_server.address)
        assert "private network" in got.reply.text
        assert outcome(hook, dns=dns_server.address).result is Result.SENT
        assert len(server.requests) == 1
    (request,) = server.requests
    assert request.fields["host"] == f"hooks.example.com:{server.port}"


def test_a_name_that_is_not_there():
    hook = webhook(1, url="https://nowhere.example.com/")
    with DnsServer({}) as dns_server:
        got = outcome(hook, dns=dns_server.address)
    assert got.result is Result.DEFERRED
    assert "nowhere.example.com" in got.reply.text


@pytest.fixture
def authority(tmp_path, monkeypatch) -> Issued:
    """An authority that this process trusts."""
    made = Issued.authority()
    path = tmp_path / "authority.pem"
    path.write_bytes(made.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return made


def secured(server: WebServer) -> Webhook:
    return webhook(server, url=f"https://localhost:{server.port}/in")


def test_under_tls(authority):
    with WebServer(lambda request: [reply()], authority.issue("localhost").pair) as server:
        got = deliver(secured(server), queued(1), queued(2))
    assert [each.result for each in got] == [Result.SENT, Result.SENT]
    assert server.connections == 1


def test_a_certificate_of_another_name_gets_no_mail(authority):
    with WebServer(lambda request: [reply()], authority.issue("else.example").pair) as server:
        got = outcome(secured(server))
    assert server.requests == []
    assert got.result is Result.DEFERRED
    assert "untrusted certificate" in got.reply.text


def test_a_strangers_certificate_gets_no_mail():
    with WebServer(lambda request: [reply()], Issued.authority().issue("localhost").pair) as server:
        got = outcome(secured(server))
    assert server.requests == []
    assert "untrusted certificate" in got.reply.text


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (None, "the webhook 'hook' is gone, or its secret cannot be read"),
        (webhook(1, enabled=False), "the webhook 'hook' is switched off"),
    ],
)
def test_a_webhook_that_cannot_be_used_keeps_its_mail(hook, why):
    got = outcome(hook)
    assert got.result is Result.DEFERRED
    assert got.unreachable
    assert got.reply.text == why


def test_the_attempt_is_on_record_before_the_request():
    noted: list[list[int]] = []
    seen: list[int] = []

    def answer(request: Received) -> list[bytes]:
        seen.append(len(noted))
        return [reply()]

    with WebServer(answer) as server:
        deliver(
            webhook(server),
            queued(1, "a@example.com", "b@example.com"),
            queued(2),
            committing=lambda recipients: noted.append(list(recipients)),
        )
    assert noted == [[101, 102], [201]]
    assert seen == [1, 2]


def test_nothing_is_on_record_when_there_is_no_connection():
    noted: list[object] = []
    outcome(webhook(1), committing=noted.append)
    assert noted == []


def test_a_worker_that_ends_finishes_what_it_posts():
    stops = iter([False, True])
    with always(reply()) as server:
        got = deliver(webhook(server), queued(1), queued(2), stopping=lambda: next(stops))
    assert [each.recipient_id for each in got] == [101]


def test_an_address_cannot_begin_a_field_of_its_own():
    with always(reply()) as server:
        deliver(webhook(server), queued(1, "jos\u00e9@example.com"))
    (request,) = server.requests
    assert request.fields["x-courierweb-recipients"] == "<jos\u00e9@example.com>"
