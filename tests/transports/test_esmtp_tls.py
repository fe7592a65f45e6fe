"""TLS on the way out: opportunistic, required by a route, required by the message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mta.transports.base import QueuedMessage, Result
from tests.support.dns import DnsServer
from tests.support.sink import ALL_EXTENSIONS, Sink, Tls, default_certificate, self_signed
from tests.transports.esmtp_delivery import SHORT, Delivery, by_mx, message


def test_tls_is_used_when_it_is_offered() -> None:
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert sink.messages[0].tls == "TLSv1.3"
    assert delivery.only.tls.startswith("TLSv1.3 TLS_")
    assert sink.sessions[0].verbs[:3] == ["EHLO", "STARTTLS", "EHLO"]


def test_what_comes_in_clear_after_the_220_is_dropped() -> None:
    injected = b"220 go ahead\r\n250-sink.example\r\n250 EVIL\r\n"
    with Sink(tls=Tls.STARTTLS, replies={"STARTTLS": injected}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    # The rest of the injected text may reach the handshake; it never reaches the session.
    assert delivery.results == [Result.SENT]
    assert "DSN" in ALL_EXTENSIONS
    assert delivery.only.final


def test_a_broken_handshake_falls_back_to_clear_and_says_so() -> None:
    with Sink(tls=Tls.BROKEN) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"), message(2, "b@x.org"))
    assert delivery.results == [Result.SENT] * 2
    assert delivery.outcomes[0].tls.startswith("failed: ")
    assert [taken.tls for taken in sink.messages] == ["", ""]
    assert len(sink.sessions) == 2


def test_a_refused_starttls_goes_on_in_clear() -> None:
    with Sink(tls=Tls.STARTTLS, replies={"STARTTLS": "454 4.7.0 not now"}) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.only.tls == "failed: 454 4.7.0 not now"
    assert len(sink.sessions) == 1


@pytest.mark.parametrize(
    ("tls", "replies", "status"),
    [
        (None, {}, "4.7.4"),
        (Tls.BROKEN, {}, "4.7.5"),
        (Tls.STARTTLS, {"STARTTLS": "454 4.7.0 not now"}, "4.7.5"),
    ],
    ids=["not offered", "broken", "refused"],
)
def test_required_tls_never_goes_in_clear(
    tls: Tls | None, replies: dict[str, str], status: str
) -> None:
    with Sink(tls=tls, replies=replies) as sink:
        delivery = Delivery(f"{sink.nexthop}/REQUIRED", message(1, "ann@example.org"))
    assert delivery.results == [Result.DEFERRED]
    assert delivery.only.reply.status == status
    assert "MAIL" not in sink.sessions[-1].verbs


def test_required_tls_that_works() -> None:
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = Delivery(f"{sink.nexthop}/REQUIRED", message(1, "ann@example.org"))
    assert delivery.results == [Result.SENT]


def test_implicit_tls() -> None:
    with Sink(tls=Tls.IMPLICIT) as sink:
        delivery = Delivery(f"{sink.nexthop}/SMTPS", message(1, "ann@example.org"))
    assert delivery.only.tls.startswith("TLSv1.3")
    assert sink.messages[0].tls == "TLSv1.3"


def test_implicit_tls_to_a_plain_port_is_deferred() -> None:
    with Sink() as sink:
        delivery = Delivery(f"{sink.nexthop}/SMTPS", message(1, "ann@example.org"), timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]


@pytest.mark.parametrize("certificate", [self_signed("other.example"), self_signed("x", days=-2)])
def test_where_tls_is_a_bonus_any_certificate_will_do(certificate: tuple[bytes, bytes]) -> None:
    with Sink(tls=Tls.STARTTLS, certificate=certificate) as sink:
        delivery = Delivery(sink.nexthop, message(1, "ann@example.org"))
    assert delivery.only.tls.startswith("TLSv1.3")
    assert len(sink.sessions) == 1


# --- messages with REQUIRETLS (RFC 8689)

REQUIRETLS = (*ALL_EXTENSIONS, "REQUIRETLS")
ZONE = {"example.org": {"MX": ["10 sink.example"]}, "sink.example": {"A": ["127.0.0.1"]}}


@pytest.fixture
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Makes a certificate the only authority of the system."""

    def make_authority(certificate: bytes) -> None:
        path = tmp_path / "authorities.pem"
        path.write_bytes(certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    make_authority(default_certificate()[0])
    return make_authority


def protected(number: int, *addresses: str) -> QueuedMessage:
    return message(number, *(addresses or ("ann@example.org",)), requiretls=True)


def test_a_protected_message_goes_to_a_peer_that_proves_its_name_and_passes_the_wish_on(
    trust: Callable[[bytes], None],
) -> None:
    with Sink(tls=Tls.STARTTLS, extensions=REQUIRETLS) as sink:
        delivery = by_mx(
            sink, "example.org", ZONE, protected(1), message(2, "bob@example.org"), signed=True
        )
    assert delivery.results == [Result.SENT] * 2
    assert {
        taken.recipients[0]: "REQUIRETLS" in taken.mail_parameters for taken in sink.messages
    } == {
        "ann@example.org": True,
        "bob@example.org": False,
    }
    assert {taken.tls for taken in sink.messages} == {"TLSv1.3"}


def test_a_relay_with_implicit_tls_can_be_protected_too(trust: Callable[[bytes], None]) -> None:
    zone = {"sink.example": {"A": ["127.0.0.1"]}}
    with Sink(tls=Tls.IMPLICIT, extensions=REQUIRETLS) as sink, DnsServer(zone) as dns:
        nexthop = f"relay:sink.example:{sink.port}/SMTPS"
        delivery = Delivery(nexthop, protected(1), dns=dns.address)
    assert delivery.results == [Result.SENT]


UNPROTECTED = {
    "no STARTTLS": {},
    "STARTTLS refused": {
        "tls": Tls.STARTTLS,
        "replies": {"STARTTLS": "502 5.5.1 what?"},
    },
    "no REQUIRETLS": {"tls": Tls.STARTTLS, "extensions": ALL_EXTENSIONS},
    "unknown authority": {"tls": Tls.STARTTLS, "certificate": self_signed("sink.example")},
}


@pytest.mark.parametrize("faults", UNPROTECTED.values(), ids=UNPROTECTED.keys())
def test_without_protection_the_message_fails_and_the_others_go(
    faults: dict[str, Any], trust: Callable[[bytes], None]
) -> None:
    with Sink(**{"extensions": REQUIRETLS, **faults}) as sink:
        delivery = by_mx(
            sink, "example.org", ZONE, protected(1), message(2, "bob@example.org"), signed=True
        )
    assert delivery.replies == ["550 5.7.30", "250 2.0.0"]
    assert sink.recipients == ["bob@example.org"]


@pytest.mark.parametrize(
    "pair", [self_signed("other.example"), self_signed("sink.example", days=-2)]
)
def test_a_trusted_certificate_must_be_valid_and_for_this_host(
    pair: tuple[bytes, bytes], trust: Callable[[bytes], None]
) -> None:
    trust(pair[0])
    with Sink(tls=Tls.STARTTLS, extensions=REQUIRETLS, certificate=pair) as sink:
        delivery = by_mx(sink, "example.org", ZONE, protected(1), signed=True)
    assert delivery.replies == ["550 5.7.30"]
    assert "certificate" in delivery.only.reply.text
    assert sink.messages == []


@pytest.mark.parametrize(
    "faults",
    [{"tls": Tls.BROKEN}, {"tls": Tls.STARTTLS, "replies": {"STARTTLS": "454 4.7.0 not now"}}],
    ids=["broken handshake", "not now"],
)
def test_trouble_with_tls_that_may_pass_defers_a_protected_message(
    faults: dict[str, Any], trust: Callable[[bytes], None]
) -> None:
    with Sink(extensions=REQUIRETLS, **faults) as sink:
        delivery = by_mx(sink, "example.org", ZONE, protected(1), signed=True)
    assert delivery.replies == ["451 4.7.5"]
    assert sink.messages == []


def test_a_host_that_is_away_may_have_the_protection_that_another_lacks(
    trust: Callable[[bytes], None],
) -> None:
    zone = {
        "example.org": {"MX": ["10 away.example", "20 bare.example"]},
        "away.example": {"A": ["127.0.0.2"]},
        "bare.example": {"A": ["127.0.0.1"]},
    }
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone, protected(1), signed=True)
    assert delivery.replies == ["451 4.4.1"]


def test_the_next_host_is_tried_when_the_first_has_no_protection(
    trust: Callable[[bytes], None],
) -> None:
    zone = {
        "example.org": {"MX": ["10 wrong.example", "20 sink.example"]},
        "wrong.example": {"A": ["127.0.0.1"]},
        "sink.example": {"A": ["127.0.0.1"]},
    }
    with Sink(tls=Tls.STARTTLS, extensions=REQUIRETLS) as sink:
        delivery = by_mx(sink, "example.org", zone, protected(1), signed=True)
    assert delivery.only.remote == "sink.example [127.0.0.1]"
    assert delivery.results == [Result.SENT]
