"""What became of TLS, counted by destination and day."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import Settings, TlsTally
from mta.protocol.tls_result import PolicyType, TlsResult, TlsWord
from mta.queue import tls_tallies
from mta.queue.retention import sweep

pytestmark = pytest.mark.django_db

GOOD = TlsResult("example.org", "mx.example.org", PolicyType.STS, TlsWord.SUCCESS)
BAD = TlsResult("example.org", "mx.example.org", PolicyType.STS, TlsWord.EXPIRED, "it expired")
CLEAR = TlsResult("plain.example", "mx", PolicyType.NONE, TlsWord.NO_STARTTLS, "no STARTTLS")


def age(days: int) -> None:
    then = timezone.now() - timedelta(days=days)
    TlsTally.objects.update(day=then.date(), last_at=then)


def test_equal_results_of_a_day_are_one_row() -> None:
    tls_tallies.add([GOOD, GOOD, BAD])
    tls_tallies.add([GOOD])
    tls_tallies.add([])
    counts = dict(TlsTally.objects.values_list("word", "count"))
    assert counts == {"success": 3, "certificate-expired": 1}


def test_a_destination_says_what_secures_it_and_what_failed_last() -> None:
    tls_tallies.add([GOOD, GOOD])
    age(1)
    tls_tallies.add([BAD, CLEAR])
    first, second = sorted(tls_tallies.destinations(), key=lambda row: row.domain)
    assert (first.domain, first.good, first.failed) == ("example.org", 2, 1)
    assert (first.protection, first.word) == ("MTA-STS", "certificate-expired")
    assert (first.detail, first.failing) == ("it expired", True)
    assert (second.domain, second.protection, second.good) == ("plain.example", "not secured", 0)
    tls_tallies.add([GOOD])
    assert not tls_tallies.destinations("EXAMPLE.org")[0].failing


def test_what_is_asked_for_is_what_is_shown() -> None:
    tls_tallies.add([GOOD])
    age(3)
    tls_tallies.add([CLEAR])
    assert [row.domain for row in tls_tallies.destinations(failed_only=True)] == ["plain.example"]
    lately = tls_tallies.destinations(window=timedelta(days=2))
    assert [row.domain for row in lately] == ["plain.example"]
    assert tls_tallies.destinations("nobody.example") == []
    assert [row.domain for row in tls_tallies.tallies("example.org")] == ["example.org"]


def test_names_and_texts_of_strangers() -> None:
    strange = "\0\udcff" + "ä" * 400
    tls_tallies.add([TlsResult(strange, strange, PolicyType.NONE, TlsWord.VALIDATION, strange)])
    assert TlsTally.objects.get().detail.startswith("?ä")


def test_old_counts_are_swept() -> None:
    tls_tallies.add([GOOD])
    age(31)
    tls_tallies.add([CLEAR])
    assert sweep(Settings())["tls"] == 1
    assert TlsTally.objects.get().domain == "plain.example"
