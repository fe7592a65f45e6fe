"""The policy as frozen facts, read from its tables: what `mta.directory` does for a new version."""

from collections.abc import Iterable

from mta.models import Domain, RetryOverride, Route, Settings, UucpNeighbor
from mta.policy.facts import DomainKind, Policy, RouteFact, Times
from mta.protocol.bang_path import Neighbourhood
from mta.session_policy import session_policy


def stored_policy(version: int, hostname: str, settings: Settings, srs_key: bytes) -> Policy:
    """All of it; `srs_key` is empty when nothing is rewritten. Raises DatabaseError."""
    domains = list(Domain.objects.all())
    routes = _routes()
    return Policy(
        version=version,
        hostname=hostname,
        domains={row.name: DomainKind(row.kind) for row in domains},
        srs_key=srs_key,
        separators={row.name: row.separators for row in domains if row.separators},
        routes=routes.pop(""),
        sender_routes=routes,
        times=_times(settings),
        domain_times=_changed_times(RetryOverride.Scope.DOMAIN),
        transport_times=_changed_times(RetryOverride.Scope.TRANSPORT),
        auth_in_clear_on_loopback=settings.auth_in_clear_on_loopback,
        uucp=_neighbourhood(hostname, settings, domains),
        **session_policy(settings),
    )


def _routes() -> dict[str, dict[str, RouteFact]]:
    """By sender, "" for all senders, then by domain."""
    tables: dict[str, dict[str, RouteFact]] = {"": {}}
    for row in Route.objects.defer("password"):
        tables.setdefault(row.sender, {})[row.domain] = RouteFact(
            row.domain,
            row.relay,
            row.port,
            row.security,
            row.sender,
            row.ip_version,
            row.pk if row.user else 0,
        )
    return tables


def _times(settings: Settings) -> Times:
    return Times(
        submitdelay=settings.submitdelay,
        queuetime=settings.queuetime,
        dsn_queuetime=settings.dsn_queuetime,
        warntime=settings.warntime,
        retryalpha=settings.retryalpha,
        retrybeta=settings.retrybeta,
        retrygamma=settings.retrygamma,
        retrymaxdelta=settings.retrymaxdelta,
    )


def _changed_times(scope: RetryOverride.Scope) -> dict[str, dict[str, object]]:
    return {row.name: row.times for row in RetryOverride.objects.filter(scope=scope)}


def _neighbourhood(hostname: str, settings: Settings, domains: Iterable[Domain]) -> Neighbourhood:
    return Neighbourhood(
        me=settings.uucpme or hostname.partition(".")[0],
        home=hostname,
        domains=frozenset(row.name for row in domains if row.kind == DomainKind.LOCAL),
        neighbours=dict(UucpNeighbor.objects.values_list("path", "flags")),
    )
