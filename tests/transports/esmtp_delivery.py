"""Running the esmtp or lmtp transport against a sink, for the tests named test_esmtp_* and
test_lmtp."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mta.protocol.auth_client import Credentials
from mta.protocol.mx import is_never_local
from mta.protocol.tls_result import NO_POLICY, StsFinding, TlsResult
from mta.transports.base import (
    DeliveryContext,
    DeliveryRequest,
    Outcome,
    QueuedMessage,
    QueuedRecipient,
    Result,
    Transport,
)
from mta.transports.esmtp import Esmtp
from tests.support.dns import DnsServer
from tests.support.sink import ALL_EXTENSIONS, Sink

SENDER = "sender@example.com"
TEXT = b"Subject: hello\r\n\r\nA line.\r\n.\r\n..dots\r\nThe end.\r\n"
EIGHT_BIT = (
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
)
SHORT = {"connect": 2.0, "helo": 0.3, "command": 0.3, "data": 0.3, "quit": 0.3}
PLENTY = {"connect": 5.0, "helo": 10.0, "command": 10.0, "data": 10.0, "quit": 2.0}
NO_PIPELINING = tuple(word for word in ALL_EXTENSIONS if word != "PIPELINING")

both_ways = pytest.mark.parametrize(
    "extensions", [ALL_EXTENSIONS, NO_PIPELINING], ids=["pipelined", "lockstep"]
)


def message(number: int, *addresses: str, **fields: object) -> QueuedMessage:
    """Recipient ids are number * 1000 and up."""
    recipients = tuple(
        QueuedRecipient(number * 1000 + index, address) for index, address in enumerate(addresses)
    )
    plain = QueuedMessage(number, f"q{number}", SENDER, len(TEXT), 0.0, recipients)
    return replace(plain, **fields)  # type: ignore[arg-type]


class Delivery:
    """One run of the transport and all that came of it."""

    def __init__(
        self,
        nexthop: str,
        *messages: QueuedMessage,
        content: bytes | dict[int, bytes] = TEXT,
        timeouts: dict[str, float] | None = None,
        dns: str = "",
        transport: Transport | None = None,
        stop_after: int = 10**6,
        dane: bool = False,
        sts: StsFinding = NO_POLICY,
        credentials: Credentials | None = None,
        more: Sequence[QueuedMessage] = (),
    ) -> None:
        self.tls_results: list[TlsResult] = []
        self.committed: list[int] = []
        self.outcomes: list[Outcome] = []
        waiting = [more]
        context = DeliveryContext(
            hostname="mail.example.test",
            mail_root=Path("unused"),
            content=lambda id: content[id] if isinstance(content, dict) else content,
            committing=self._committing,
            more=lambda: waiting.pop() if waiting else (),
            stopping=lambda: len(self.outcomes) >= stop_after,
            dns=dns,
            timeouts=timeouts or PLENTY,
            dane=dane,
            sts=lambda domain: sts,
            tls_seen=self.tls_results.append,
            credentials=lambda route_id: credentials,
        )
        carrier = transport or Esmtp()
        for outcome in carrier.deliver(DeliveryRequest(carrier.name, nexthop, messages), context):
            self.outcomes.append(outcome)
        self.by_id = {outcome.recipient_id: outcome for outcome in self.outcomes}
        assert len(self.by_id) == len(self.outcomes), "a recipient was reported twice"

    def _committing(self, ids: Iterable[int]) -> None:
        self.committed += ids

    @property
    def results(self) -> list[Result]:
        return [outcome.result for outcome in sorted(self.outcomes, key=lambda o: o.recipient_id)]

    @property
    def replies(self) -> list[str]:
        ordered = sorted(self.outcomes, key=lambda o: o.recipient_id)
        return [f"{outcome.reply.code} {outcome.reply.status}" for outcome in ordered]

    @property
    def tls_words(self) -> list[str]:
        """What was recorded of TLS, as "HOST POLICY WORD"."""
        return [f"{each.mx_host} {each.policy} {each.word}".strip() for each in self.tls_results]

    @property
    def only(self) -> Outcome:
        (outcome,) = self.outcomes
        return outcome


def by_mx(
    sink: Sink,
    domain: str,
    zone: dict,
    *messages: QueuedMessage,
    signed: bool = False,
    unsigned: tuple[str, ...] = (),
    sts: StsFinding = NO_POLICY,
) -> Delivery:
    with DnsServer(zone, signed=signed, unsigned=unsigned) as dns:
        return Delivery(
            f"mx:{domain}",
            *(messages or (message(1, "ann@example.org"),)),
            dns=dns.address,
            transport=Esmtp(mx_port=sink.port, is_local=is_never_local),
            dane=signed,
            sts=sts,
        )
