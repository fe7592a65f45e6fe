"""tlsstatus: the destinations, or one of them day by day."""

import pytest

from mta.protocol.tls_result import PolicyType, TlsResult, TlsWord
from mta.queue import tls_tallies

pytestmark = pytest.mark.django_db


def test_destinations_and_one_of_them(run, listed):
    assert listed("tlsstatus") == []
    assert "nothing is known" in run("tlsstatus")
    failure = TlsResult("example.org", "mx.x", PolicyType.STS, TlsWord.EXPIRED, "too\x1b old")
    tls_tallies.add([failure, TlsResult("b.example", "mx.b", PolicyType.NONE, TlsWord.SUCCESS)])
    first, second = listed("tlsstatus")
    assert (first["domain"], first["secured_by"]) == ("example.org", "not secured")
    assert (first["failures"], first["failure"]) == (1, "certificate-expired")
    assert second["secured_by"] == "opportunistic TLS"
    assert "\x1b" not in run("tlsstatus")
    (row,) = listed("tlsstatus", "Example.org")
    assert (row["host"], row["asked_by"], row["count"]) == ("mx.x", "sts", 1)
