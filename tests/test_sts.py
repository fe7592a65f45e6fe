"""MTA-STS policies from record to policy in force: DNS, HTTPS and cache are real, on loopback."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mta import sts
from mta.models import StsPolicy
from mta.protocol.mta_sts import MAX_POLICY, Mode
from mta.protocol.sts_fetch import FetchFailed, fetch
from mta.protocol.tls_result import TlsWord
from mta.sts import StsPolicies
from tests.support.certificates import Issued
from tests.support.dns import DnsServer, Trouble, txt
from tests.support.https import HttpsServer, page

pytestmark = pytest.mark.django_db

AUTHORITY = Issued.authority()
LEAF = AUTHORITY.issue("mta-sts.example.org")
POLICY = b"version: STSv1\nmode: enforce\nmx: mail.example.org\nmax_age: 604800\n"
RECORD = "_mta-sts.example.org"


@pytest.fixture(autouse=True)
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "authorities.pem"
    path.write_bytes(AUTHORITY.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.fixture
def web() -> Iterator[HttpsServer]:
    with HttpsServer(LEAF.pair, page(POLICY)) as server:
        yield server


@pytest.fixture
def names() -> Iterator[DnsServer]:
    zone = {
        RECORD: {"TXT": txt("v=STSv1; id=1")},
        "mta-sts.example.org": {"A": ["127.0.0.1"]},
    }
    with DnsServer(zone) as server:
        yield server


def policies(names: DnsServer, web: HttpsServer) -> StsPolicies:
    """As a process has them that has just started."""
    return StsPolicies(names.address, port=web.port, is_local=lambda address: False)


def age(**times: timedelta) -> None:
    """Put the times of the one policy back."""
    row = StsPolicy.objects.get()
    for name, by in times.items():
        setattr(row, name, getattr(row, name) - by)
    row.save()


def test_a_policy_is_fetched_once_and_kept(names: DnsServer, web: HttpsServer) -> None:
    first = policies(names, web)
    found = first.find("Example.org").policy
    assert found is not None
    assert (found.mode, found.mx) == (Mode.ENFORCE, ("mail.example.org",))
    assert first.find("example.org").policy == found
    assert len([name for name, _ in names.queries if name == RECORD]) == 1
    assert policies(names, web).find("example.org").policy == found
    assert len(web.requests) == 1
    assert web.requests[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert b"Host: mta-sts.example.org\r\n" in web.requests[0]


def test_without_a_record_nobody_is_asked(names: DnsServer, web: HttpsServer) -> None:
    for record in ({"TXT": txt("v=STSv1; id=1", "v=STSv1; id=2")}, {}, Trouble.SERVFAIL):
        names.zone[RECORD] = record
        assert policies(names, web).find("example.org").policy is None
    assert web.requests == []


def test_another_id_brings_another_policy(names: DnsServer, web: HttpsServer) -> None:
    policies(names, web).find("example.org")
    names.zone[RECORD] = {"TXT": txt("v=STSv1; id=2")}
    web.answer = page(POLICY.replace(b"enforce", b"none"))
    found = policies(names, web).find("example.org").policy
    assert found is not None
    assert found.mode is Mode.NONE
    assert policies(names, web).find("example.org").policy is None


def test_a_policy_is_renewed_before_it_expires(names: DnsServer, web: HttpsServer) -> None:
    policies(names, web).find("example.org")
    age(fetched_at=timedelta(days=2), expires_at=timedelta(days=2))
    policies(names, web).find("example.org")
    assert len(web.requests) == 2
    assert StsPolicy.objects.get().expires_at > timezone.now() + timedelta(days=6)


@pytest.mark.parametrize("attack", ["no record", "no server", "not the policy"])
def test_who_suppresses_record_or_server_does_not_turn_the_protection_off(
    attack: str, names: DnsServer, web: HttpsServer
) -> None:
    policies(names, web).find("example.org")
    names.zone[RECORD] = {"TXT": txt("v=STSv1; id=2")}
    if attack == "no record":
        del names.zone[RECORD]
    elif attack == "no server":
        names.zone["mta-sts.example.org"] = Trouble.SERVFAIL
    else:
        web.answer = page(b"", status="404 Not Found")
    found = policies(names, web).find("example.org")
    assert found.policy is not None
    assert found.policy.mode is Mode.ENFORCE
    age(expires_at=timedelta(days=8))
    assert policies(names, web).find("example.org").policy is None


FAULTS = {
    "404": (page(POLICY, status="404 Not Found"), TlsWord.STS_FETCH),
    "redirect": (
        page(b"", status="301 Moved", more="Location: https://127.0.0.1/\r\n"),
        TlsWord.STS_FETCH,
    ),
    "html": (page(POLICY, kind="text/html"), TlsWord.STS_FETCH),
    "huge": (page(b"x" * (MAX_POLICY + 1)), TlsWord.STS_FETCH),
    "endless": (page(b"x" * 4_000_000), TlsWord.STS_FETCH),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, TlsWord.STS_FETCH),
    "no HTTP": (b"220 mail.example.org ESMTP\r\n", TlsWord.STS_FETCH),
    "nothing": (b"", TlsWord.STS_FETCH),
    "half": (page(POLICY, more="Content-Length: 1000\r\n"), TlsWord.STS_FETCH),
    "bad chunks": (page(b"zz\r\n", more="Transfer-Encoding: chunked\r\n"), TlsWord.STS_FETCH),
    "invalid": (page(b"version: STSv1\nmode: sometimes\n"), TlsWord.STS_INVALID),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_gives_no_policy(fault: str, names: DnsServer, web: HttpsServer) -> None:
    web.answer, word = FAULTS[fault]
    found = policies(names, web).find("example.org")
    assert (found.policy, found.trouble) == (None, word)
    assert found.detail
    # Not asked again for a while, by no process; and told only once.
    again = policies(names, web).find("example.org")
    assert (again.policy, again.trouble) == (None, None)
    assert len(web.requests) == 1
    age(tried_at=sts.RETRY + timedelta(seconds=1))
    web.answer = page(POLICY)
    assert policies(names, web).find("example.org").policy is not None


@pytest.mark.parametrize(
    "certificate",
    [
        AUTHORITY.issue("example.org"),
        AUTHORITY.issue("mta-sts.example.org", days=-1),
        Issued.authority("Other").issue("mta-sts.example.org"),
    ],
    ids=["name", "date", "authority"],
)
def test_a_policy_host_must_prove_its_name(certificate: Issued, names: DnsServer) -> None:
    with HttpsServer(certificate.pair, page(POLICY)) as web:
        found = policies(names, web).find("example.org")
    assert (found.policy, found.trouble) == (None, TlsWord.STS_WEBPKI)
    assert web.requests == []


def test_a_strangers_domain_does_not_make_us_talk_to_ourselves(
    names: DnsServer, web: HttpsServer
) -> None:
    found = StsPolicies(names.address, port=web.port).find("example.org")
    assert found.trouble is TlsWord.STS_FETCH
    assert web.requests == []


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "an octet at a time"])
def test_a_slow_server_does_not_hold_a_worker(drip: bool, web: HttpsServer) -> None:
    web.answer = page(b"x" * 10_000) if drip else None
    web.drip = drip
    with pytest.raises(FetchFailed, match="in time"):
        fetch("example.org", ["127.0.0.1"], web.port, seconds=0.5)


def test_the_next_address_is_asked_when_one_is_dead(web: HttpsServer) -> None:
    assert fetch("example.org", ["127.0.0.9", "127.0.0.1"], web.port) == POLICY


@pytest.mark.parametrize("domain", ["", "a" * 300, "b\udcff.example", "new\r\nline.example"])
def test_a_domain_that_is_none(domain: str, names: DnsServer, web: HttpsServer) -> None:
    assert policies(names, web).find(domain).policy is None


def test_expired_policies_are_forgotten(names: DnsServer, web: HttpsServer) -> None:
    policies(names, web).find("example.org")
    assert sts.forget(timezone.now()) == 0
    age(expires_at=timedelta(days=40), tried_at=timedelta(days=40))
    assert sts.forget(timezone.now() - timedelta(days=30)) == 1
