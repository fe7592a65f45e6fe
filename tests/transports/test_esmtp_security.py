"""DANE and MTA-STS on the way out: who is delivered to, who waits, and what is put on record."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mta.protocol.mta_sts import Mode, Policy
from mta.protocol.tls_result import StsFinding, TlsWord
from mta.transports.base import Result
from tests.support.certificates import Issued
from tests.support.dns import Trouble
from tests.support.sink import ALL_EXTENSIONS, Sink, Tls
from tests.transports.esmtp_delivery import by_mx, message

HOST = "sink.example"
AUTHORITY = Issued.authority()
LEAF = AUTHORITY.issue(HOST)
OTHER = Issued.authority("Other")
REQUIRETLS = (*ALL_EXTENSIONS, "REQUIRETLS")


@pytest.fixture(autouse=True)
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Issued], None]:
    """Makes an authority the only one of the system; at first that is one of nobody here."""

    def make_authority(authority: Issued) -> None:
        path = tmp_path / "authorities.pem"
        path.write_bytes(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    make_authority(OTHER)
    return make_authority


def zone(sink: Sink, *tlsa: str) -> dict:
    return {
        "example.org": {"MX": [f"10 {HOST}"]},
        HOST: {"A": ["127.0.0.1"]},
        f"_{sink.port}._tcp.{HOST}": {"TLSA": list(tlsa)},
    }


def policy(mode: Mode, *mx: str) -> StsFinding:
    return StsFinding(Policy(mode, mx or (HOST,), 86400))


@pytest.mark.parametrize(
    "tlsa",
    [LEAF.tlsa(3), LEAF.tlsa(3, 0, 0), AUTHORITY.tlsa(2), AUTHORITY.tlsa(2, 0, 0)],
    ids=["EE", "EE whole", "TA digest", "TA whole"],
)
def test_a_certificate_that_the_dns_vouches_for_needs_no_authority(tlsa: str) -> None:
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        delivery = by_mx(sink, "example.org", zone(sink, OTHER.tlsa(3), tlsa), signed=True)
    assert delivery.results == [Result.SENT]
    assert sink.messages[0].tls == "TLSv1.3"
    assert delivery.tls_words == [f"{HOST} tlsa success"]


@pytest.mark.parametrize(
    ("tls", "status", "word"),
    [
        (Tls.STARTTLS, "4.7.5", "certificate-not-trusted"),
        (Tls.BROKEN, "4.7.5", "validation-failure"),
        (None, "4.7.4", "starttls-not-supported"),
    ],
)
def test_with_dane_nothing_less_will_do(
    tls: Tls | None, status: str, word: str, trust: Callable[[Issued], None]
) -> None:
    trust(AUTHORITY)
    with Sink(tls=tls, certificate=LEAF.pair) as sink:
        delivery = by_mx(
            sink,
            "example.org",
            zone(sink, OTHER.tlsa(3)),
            signed=True,
            sts=policy(Mode.ENFORCE),
        )
    assert delivery.replies == [f"451 {status}"]
    assert HOST in delivery.only.reply.text
    assert "DANE" in delivery.only.reply.text
    assert sink.messages == []
    assert delivery.tls_words == [f"{HOST} tlsa {word}"]


def test_records_that_nobody_can_use_still_promise_tls() -> None:
    unusable = "0 1 1 " + "00" * 32
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = by_mx(sink, "example.org", zone(sink, unusable), signed=True)
    assert delivery.results == [Result.SENT]
    with Sink() as sink:
        delivery = by_mx(sink, "example.org", zone(sink, unusable), signed=True)
    assert delivery.replies == ["451 4.7.4"]
    assert f"{HOST} tlsa tlsa-invalid" in delivery.tls_words


@pytest.mark.parametrize("unsigned", ["example.org", HOST, "tlsa"])
def test_what_is_not_signed_from_end_to_end_proves_nothing(unsigned: str) -> None:
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        name = f"_{sink.port}._tcp.{HOST}" if unsigned == "tlsa" else unsigned
        records = zone(sink, OTHER.tlsa(3))
        delivery = by_mx(sink, "example.org", records, signed=True, unsigned=(name,))
    assert delivery.results == [Result.SENT]
    assert delivery.tls_words == [f"{HOST} no-policy-found success"]


def test_who_holds_back_an_answer_about_ipv6_does_not_turn_dane_off() -> None:
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        records = zone(sink, OTHER.tlsa(3))
        records[HOST] = {"A": ["127.0.0.1"], "AAAA": Trouble.SERVFAIL}
        delivery = by_mx(sink, "example.org", records, signed=True)
    assert delivery.replies == ["451 4.7.5"]


def test_the_word_of_a_name_server_that_is_not_trusted_does_not_count() -> None:
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        delivery = by_mx(sink, "example.org", zone(sink, OTHER.tlsa(3)))
    assert delivery.results == [Result.SENT]


def test_records_that_are_held_back_make_the_host_wait() -> None:
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        records = {**zone(sink), f"_{sink.port}._tcp.{HOST}": Trouble.SERVFAIL}
        delivery = by_mx(sink, "example.org", records, signed=True)
    assert delivery.replies == ["451 4.7.4"]
    assert sink.sessions == []
    assert delivery.tls_words == [f"{HOST} tlsa dnssec-invalid"]


def test_an_enforced_policy_that_is_met(trust: Callable[[Issued], None]) -> None:
    trust(AUTHORITY)
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        delivery = by_mx(sink, "example.org", zone(sink), sts=policy(Mode.ENFORCE))
    assert delivery.results == [Result.SENT]
    assert delivery.tls_words == [f"{HOST} sts success"]


POLICY_FAULTS = {
    "authority": ({"certificate": LEAF.pair}, OTHER, "4.7.5", "certificate-not-trusted"),
    "name": (
        {"certificate": AUTHORITY.issue("other.example").pair},
        AUTHORITY,
        "4.7.5",
        "certificate-host-mismatch",
    ),
    "date": (
        {"certificate": AUTHORITY.issue(HOST, days=-2).pair},
        AUTHORITY,
        "4.7.5",
        "certificate-expired",
    ),
    "clear": ({"tls": None}, AUTHORITY, "4.7.4", "starttls-not-supported"),
    "handshake": ({"tls": Tls.BROKEN}, AUTHORITY, "4.7.5", "validation-failure"),
}


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.TESTING])
@pytest.mark.parametrize("fault", POLICY_FAULTS)
def test_a_policy_that_is_not_met(fault: str, mode: Mode, trust: Callable[[Issued], None]) -> None:
    words, authority, status, word = POLICY_FAULTS[fault]
    trust(authority)
    with Sink(**{"tls": Tls.STARTTLS, **words}) as sink:
        delivery = by_mx(sink, "example.org", zone(sink), sts=policy(mode))
    assert delivery.tls_words[0] == f"{HOST} sts {word}"
    if mode is Mode.TESTING:
        assert delivery.results == [Result.SENT]
        encrypted = fault in ("authority", "name", "date")
        assert [bool(taken.tls) for taken in sink.messages] == [encrypted]
    else:
        assert delivery.replies == [f"451 {status}"]
        assert HOST in delivery.only.reply.text
        assert sink.messages == []


def test_a_host_that_the_policy_does_not_list() -> None:
    with Sink(tls=Tls.STARTTLS) as sink:
        enforced = policy(Mode.ENFORCE, "mail.example.org")
        delivery = by_mx(sink, "example.org", zone(sink), sts=enforced)
        assert delivery.replies == ["451 4.7.4"]
        assert sink.sessions == []
        testing = policy(Mode.TESTING, "mail.example.org")
        delivery = by_mx(sink, "example.org", zone(sink), sts=testing)
    assert delivery.results == [Result.SENT]
    assert delivery.tls_words[0] == f"{HOST} sts validation-failure"


def test_the_next_host_takes_what_the_first_may_not(trust: Callable[[Issued], None]) -> None:
    trust(AUTHORITY)
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair) as sink:
        records = {
            **zone(sink),
            "example.org": {"MX": ["5 stray.example", f"10 {HOST}"]},
            "stray.example": {"A": ["127.0.0.1"]},
        }
        delivery = by_mx(sink, "example.org", records, sts=policy(Mode.ENFORCE))
    assert delivery.only.remote.startswith(HOST)
    assert len(sink.sessions) == 1


def test_a_policy_that_could_not_be_had_is_on_record_and_costs_nothing() -> None:
    trouble = StsFinding(None, TlsWord.STS_FETCH, "HTTP status 404")
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = by_mx(sink, "example.org", zone(sink), sts=trouble)
    assert delivery.results == [Result.SENT]
    assert "sts sts-policy-fetch-error" in delivery.tls_words


def test_failures_without_a_policy_are_on_record_too() -> None:
    with Sink(tls=Tls.BROKEN) as sink:
        delivery = by_mx(sink, "example.org", zone(sink))
    assert delivery.results == [Result.SENT]
    assert delivery.tls_words == [f"{HOST} no-policy-found validation-failure"]


# --- REQUIRETLS (RFC 8689 4.2.1)


def protected() -> object:
    return message(1, "ann@example.org", requiretls=True)


def test_a_protected_message_needs_a_secured_lookup(trust: Callable[[Issued], None]) -> None:
    trust(AUTHORITY)
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair, extensions=REQUIRETLS) as sink:
        for sts in (StsFinding(), policy(Mode.TESTING)):
            delivery = by_mx(sink, "example.org", zone(sink), protected(), sts=sts)
            assert delivery.replies == ["550 5.7.10"]
            assert "REQUIRETLS support required" in delivery.only.reply.text
        assert sink.sessions == []
        delivery = by_mx(sink, "example.org", zone(sink), protected(), sts=policy(Mode.ENFORCE))
        assert delivery.results == [Result.SENT]
        delivery = by_mx(sink, "example.org", zone(sink), protected(), signed=True)
    assert delivery.results == [Result.SENT]


def test_dane_proves_a_name_for_a_protected_message() -> None:
    with Sink(tls=Tls.STARTTLS, certificate=LEAF.pair, extensions=REQUIRETLS) as sink:
        delivery = by_mx(sink, "example.org", zone(sink, LEAF.tlsa(3)), protected(), signed=True)
    assert delivery.results == [Result.SENT]
    assert "REQUIRETLS" in sink.messages[0].mail_parameters
