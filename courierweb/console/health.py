"""Which parts of the appliance are alive: for /healthz, /metrics and the home page.

Nothing here raises: a part that cannot be asked is a part that is down, with the reason.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import redis
from cryptography import x509
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from mta import runtime
from mta.models import Heartbeat, Settings

logger = logging.getLogger(__name__)

HEARTBEAT_PARTS = (
    "ingress",
    "managesieve",
    "submit",
    "worker-local",
    "worker-remote",
    "beat",
    "rq",
)
FRESH = timedelta(seconds=15)
BROKER_TIMEOUT_SECONDS = 2
CERTIFICATE_WARNING = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `detail` is a short sentence for people, `age` that of its last sign of life."""

    name: str
    ok: bool
    detail: str
    age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The TLS certificate of the listeners; `expires_at` is None when it cannot be read."""

    expires_at: datetime | None
    detail: str

    @property
    def ok(self) -> bool:
        return bool(self.expires_at and self.expires_at - timezone.now() > CERTIFICATE_WARNING)


def parts() -> list[Part]:
    """Every part that must be up for mail and console to work, in the order of a message."""
    database = _database()
    beats = _last_heartbeats() if database.ok else None
    return [
        Part("web", True, "answering"),
        database,
        _broker(),
        *([_storage()] if database.ok else []),
        *_processes(beats),
    ]


def _database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')")
            ((read_only,),) = cursor.fetchall()
    except DatabaseError as error:
        logger.warning("database does not answer: %s", error)
        return Part("database", False, "does not answer")
    if read_only == "on":
        return Part("database", False, "is read-only: no mail is taken or delivered")
    return Part("database", True, "answering")


def _storage() -> Part:
    try:
        short = runtime.storage().shortage(Settings.load().minfree)
    except (OSError, DatabaseError) as error:
        logger.warning("the disk cannot be looked at: %s", error)
        return Part("storage", False, "cannot be looked at")
    detail = f"no mail is taken or delivered: {short}" if short else "enough room"
    return Part("storage", not short, detail)


def _broker() -> Part:
    client = redis.Redis.from_url(
        settings.RQ_QUEUES["default"]["URL"],
        socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
        socket_timeout=BROKER_TIMEOUT_SECONDS,
        retry=None,
    )
    try:
        client.ping()
    except redis.RedisError as error:
        logger.warning("broker does not answer: %s", error)
        return Part("broker", False, "does not answer")
    finally:
        client.close()
    return Part("broker", True, "answering")


def _last_heartbeats() -> dict[str, datetime] | None:
    """The newest heartbeat of each part; None when the table cannot be read."""
    try:
        rows = Heartbeat.objects.values_list("part").annotate(last=Max("at"))
        return dict(rows)
    except DatabaseError as error:
        logger.warning("heartbeats cannot be read: %s", error)
        return None


def _processes(beats: dict[str, datetime] | None) -> Iterator[Part]:
    now = timezone.now()
    for name in HEARTBEAT_PARTS:
        if beats is None:
            yield Part(name, False, "unknown without the database")
        elif name not in beats:
            yield Part(name, False, "never seen")
        else:
            age = max(now - beats[name], timedelta(0))
            fresh = age <= FRESH
            yield Part(name, fresh, "running" if fresh else "no sign of life", age)


def certificate(path: Path | None = None) -> Certificate:
    """The certificate that the listeners show; the first one in the file counts."""
    path = path or settings.ENVIRONMENT.home / "tls" / "cert.pem"
    try:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return Certificate(None, "there is no certificate")
    except (OSError, ValueError) as error:
        logger.warning("certificate %s cannot be read: %s", path, error)
        return Certificate(None, "the certificate cannot be read")
    expires_at = leaf.not_valid_after_utc
    left = expires_at - timezone.now()
    if left < timedelta(0):
        return Certificate(expires_at, "the certificate has expired")
    return Certificate(expires_at, f"{left.days} days left")
