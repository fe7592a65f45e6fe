"""The MTA-STS policy in force for a domain: DNS record, cache, fetch (RFC 8461 5.1).

A policy that was fetched counts until it expires, whatever happens to record or server later:
who can suppress those must not be able to turn the protection off. It is fetched anew when the
record has another id, and once a day, so that it does not expire while the domain means it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from mta.models import StsPolicy
from mta.protocol import mta_sts, sts_fetch
from mta.protocol.dns_cache import AnswerCache
from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.mta_sts import InvalidPolicy, Mode, Policy
from mta.protocol.mx import MxError, is_local_address
from mta.protocol.sts_fetch import FetchFailed
from mta.protocol.tls_result import NO_POLICY, StsFinding, TlsWord
from mta.queue.commit import storable

REFRESH = timedelta(days=1)
# A server that is down is not asked again for every message (RFC 8461 3.3).
RETRY = timedelta(minutes=5)
# Seconds for which a process does not look at all.
REMEMBERED = 60.0
_DOMAIN = re.compile(r"[a-z0-9_.-]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class _Fetched:
    text: str
    policy: Policy


class StsPolicies:
    """Asks `nameserver`; `is_local` and `port` are for tests, whose policy hosts are on loopback.

    One for a process; safe to use from any thread.
    """

    def __init__(
        self,
        nameserver: str,
        *,
        port: int = sts_fetch.PORT,
        is_local: Callable[[str], bool] = is_local_address,
    ) -> None:
        self._nameserver = nameserver
        self._port = port
        self._is_local = is_local
        self._remembered: AnswerCache[StsFinding] = AnswerCache()

    def find(self, domain: str) -> StsFinding:
        """Raises DatabaseError. What goes wrong outside is told in the finding.

        May take as long as DNS and fetch together, see `sts_fetch.SECONDS`.
        """
        domain = domain.lower()
        if not _DOMAIN.match(domain):
            return NO_POLICY
        known = self._remembered.get(domain)
        if known is None:
            known = self._look_up(domain)
            # A failure is put on record once, not with every delivery of the next minute.
            self._remembered.put(domain, StsFinding(known.policy), REMEMBERED)
        return known

    def _look_up(self, domain: str) -> StsFinding:
        row = StsPolicy.objects.filter(domain=domain).first()
        now = timezone.now()
        published = self._record_id(domain)
        if published is None or (row is not None and not _is_due(row, published, now)):
            return StsFinding(_in_force(row, now))
        try:
            fetched = self._fetch(domain)
        except (FetchFailed, InvalidPolicy, MxError) as error:
            word = _word(error)
            _remember_failure(domain, published, f"{word}: {error}", now)
            return StsFinding(_in_force(row, now), word, str(error))
        _remember(domain, published, fetched, now)
        return StsFinding(fetched.policy)

    def _record_id(self, domain: str) -> str | None:
        """None also when the DNS does not say: then what is cached counts."""
        try:
            return mta_sts.record_id(DnsResolver(self._nameserver).txt(f"_mta-sts.{domain}"))
        except MxError:
            return None

    def _fetch(self, domain: str) -> _Fetched:
        """Raises FetchFailed, InvalidPolicy, MxError."""
        found = DnsResolver(self._nameserver).addresses(sts_fetch.policy_host(domain))
        body = sts_fetch.fetch(domain, self._foreign(found), self._port)
        return _Fetched(body.decode("utf-8", "replace"), mta_sts.parse_policy(body))

    def _foreign(self, addresses: Sequence[str]) -> list[str]:
        """A stranger's domain must not make us talk to our own host."""
        return [address for address in addresses if not self._is_local(address)]


def forget(before: datetime) -> int:
    """Delete policies that expired before that; gives how many."""
    deleted, _ = StsPolicy.objects.filter(expires_at__lt=before, tried_at__lt=before).delete()
    return deleted


def _is_due(row: StsPolicy, published: str, now: datetime) -> bool:
    if row.failure and row.record_id == published and now - row.tried_at < RETRY:
        return False
    if row.failure or row.record_id != published or row.expires_at <= now:
        return True
    return now - row.fetched_at > min(REFRESH, (row.expires_at - row.fetched_at) / 2)


def _in_force(row: StsPolicy | None, now: datetime) -> Policy | None:
    if row is None or not row.policy or row.expires_at <= now:
        return None
    policy = mta_sts.parse_policy(row.policy.encode())
    return None if policy.mode is Mode.NONE else policy


def _remember(domain: str, record_id: str, fetched: _Fetched, now: datetime) -> None:
    StsPolicy.objects.update_or_create(
        domain=domain,
        defaults={
            "record_id": record_id,
            "policy": storable(fetched.text),
            "fetched_at": now,
            "expires_at": now + timedelta(seconds=fetched.policy.max_age),
            "tried_at": now,
            "failure": "",
        },
    )


def _remember_failure(domain: str, record_id: str, failure: str, now: datetime) -> None:
    """What was fetched before stays as it is."""
    StsPolicy.objects.update_or_create(
        domain=domain,
        defaults={"record_id": record_id, "tried_at": now, "failure": storable(failure)},
        create_defaults={
            "record_id": record_id,
            "policy": "",
            "fetched_at": now,
            "expires_at": now,
            "tried_at": now,
            "failure": storable(failure),
        },
    )


def _word(error: Exception) -> TlsWord:
    if isinstance(error, InvalidPolicy):
        return TlsWord.STS_INVALID
    untrusted = isinstance(error, FetchFailed) and error.untrusted
    return TlsWord.STS_WEBPKI if untrusted else TlsWord.STS_FETCH
