"""TLSA records against chains of certificates (RFC 6698, RFC 7672)."""

import hashlib

import pytest

from mta.protocol.tlsa import (
    MAX_RECORDS,
    BadDates,
    BadName,
    DaneMismatch,
    TlsaRecord,
    check,
    name_matches,
    usable,
)
from tests.support.certificates import Issued

HOST = "mx.example.org"
ROOT = Issued.authority()
MIDDLE = ROOT.issue(authority=True, common_name="Middle")
LEAF = MIDDLE.issue(HOST)
OTHER = Issued.authority("Other")


def record(usage: int, selector: int, matching: int, issued: Issued) -> TlsaRecord:
    data = issued.der if selector == 0 else issued.spki
    if matching:
        data = hashlib.new({1: "sha256", 2: "sha512"}[matching], data).digest()
    return TlsaRecord(usage, selector, matching, data)


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize(
    ("usage", "issued"), [(3, LEAF), (2, MIDDLE), (2, ROOT)], ids=["EE", "TA middle", "TA root"]
)
def test_every_selector_and_matching_type(
    usage: int, issued: Issued, selector: int, matching: int
) -> None:
    good = record(usage, selector, matching, issued)
    wrong = record(usage, selector, matching, OTHER)
    assert check([wrong, good], LEAF.chain, [HOST]) == good
    with pytest.raises(DaneMismatch):
        check([wrong], LEAF.chain, [HOST])


def test_dane_ee_asks_neither_for_names_nor_for_dates() -> None:
    expired = ROOT.issue("somebody.else", days=-2)
    assert check([record(3, 1, 1, expired)], [expired.der], [HOST])


def test_dane_ta_asks_for_both() -> None:
    anchor = record(2, 0, 1, ROOT)
    with pytest.raises(BadDates):
        check([anchor], ROOT.issue(HOST, days=-2).chain, [HOST])
    with pytest.raises(BadName, match="somebody.else"):
        check([anchor], ROOT.issue("somebody.else").chain, [HOST])
    assert check([anchor], ROOT.issue("example.org").chain, [HOST, "example.org"])


def test_a_name_of_the_peers_making_is_told_in_one_printable_line() -> None:
    hostile = ROOT.issue(common_name="evil\r\n250 ok\x1b[2J" + "x" * 40)
    with pytest.raises(BadName) as told:
        check([record(2, 0, 1, ROOT)], hostile.chain, [HOST])
    assert "evil" in str(told.value)
    assert str(told.value).isprintable()


def test_the_anchors_own_dates_do_not_count() -> None:
    old = Issued.authority(days=-2)
    assert check([record(2, 0, 1, old)], old.issue(HOST).chain, [HOST])


def test_an_anchor_in_the_dns_need_not_be_sent() -> None:
    alone = ROOT.issue(HOST)
    assert check([record(2, 0, 0, ROOT)], [alone.der], [HOST])
    with pytest.raises(DaneMismatch):
        check([record(2, 0, 1, ROOT)], [alone.der], [HOST])


def test_an_anchor_sent_along_that_signed_nothing_proves_nothing() -> None:
    stolen = OTHER.issue(HOST)
    with pytest.raises(DaneMismatch, match="does not lead"):
        check([record(2, 0, 1, ROOT)], [stolen.der, OTHER.der, ROOT.der], [HOST])


def test_the_same_name_with_another_key_is_not_the_issuer() -> None:
    impostor = Issued.authority()
    assert impostor.certificate.subject == ROOT.certificate.subject
    stolen = impostor.issue(HOST)
    with pytest.raises(DaneMismatch):
        check([record(2, 1, 1, ROOT)], [stolen.der, ROOT.der], [HOST])


def test_a_host_cannot_sign_for_another() -> None:
    forger = ROOT.issue("evil.example")
    forged = forger.issue(HOST)
    with pytest.raises(DaneMismatch, match="may not sign"):
        check([record(2, 0, 1, ROOT)], forged.chain, [HOST])


def test_a_trust_anchor_is_not_the_peers_own_certificate() -> None:
    with pytest.raises(DaneMismatch):
        check([record(2, 1, 1, LEAF)], LEAF.chain, [HOST])


@pytest.mark.parametrize(
    "bad",
    [
        TlsaRecord(0, 1, 1, bytes(32)),
        TlsaRecord(1, 1, 1, bytes(32)),
        TlsaRecord(255, 1, 1, bytes(32)),
        TlsaRecord(3, 2, 1, bytes(32)),
        TlsaRecord(3, 1, 3, bytes(32)),
        TlsaRecord(3, 1, 1, bytes(31)),
        TlsaRecord(3, 1, 2, bytes(32)),
        TlsaRecord(3, 1, 0, b""),
        TlsaRecord(3, 0, 0, bytes(60000)),
    ],
    ids=str,
)
def test_unusable_records(bad: TlsaRecord) -> None:
    assert usable([bad]) == ()


def test_no_more_records_than_anybody_needs() -> None:
    assert len(usable([TlsaRecord(3, 1, 1, bytes(32))] * 1000)) == MAX_RECORDS


@pytest.mark.parametrize("chain", [[], [b""], [b"rubbish" * 1000], [LEAF.der[:-1]]])
def test_a_chain_that_is_none(chain: list[bytes]) -> None:
    with pytest.raises(DaneMismatch):
        check([record(3, 1, 1, LEAF)], chain, [HOST])


def test_rubbish_in_a_record_that_should_hold_a_certificate() -> None:
    rubbish = TlsaRecord(2, 0, 0, b"\x30\x82rubbish")
    assert rubbish.usable
    with pytest.raises(DaneMismatch):
        check([rubbish], LEAF.chain, [HOST])


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("MX.example.org", "mx.Example.org.", True),
        ("*.example.org", "mx.example.org", True),
        ("*.example.org", "a.mx.example.org", False),
        ("*.example.org", "example.org", False),
        ("m*.example.org", "mx.example.org", False),
        ("*.org", "example.org", False),
        ("*", "org", False),
        ("", "", False),
    ],
)
def test_names(pattern: str, name: str, covered: bool) -> None:
    assert name_matches(pattern, name) is covered
