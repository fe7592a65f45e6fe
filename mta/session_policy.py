"""The part of the policy that judges sessions, read from its tables as frozen facts.

`mta.directory` reads it whole whenever the policy version changes.
"""

import logging
from ipaddress import ip_network
from typing import Any

from django.utils import timezone

from mta.models import (
    AccessRule,
    BadMailHost,
    BadSender,
    DnsList,
    DsnRefuser,
    FreemailDomain,
    KeptRefusals,
    Listener,
    Settings,
    SiteFilter,
    SpamTrap,
)
from mta.models import RuleState as RuleStateRow
from mta.policy.facts import (
    Access,
    DnsListFact,
    Keeping,
    Limits,
    MimeMode,
    RuleState,
    SpfTerms,
    Terms,
)

log = logging.getLogger(__name__)

_TERMS = (
    "auth_required",
    "tls_required",
    "checkdns",
    "checkhelo",
    "spf",
    "dnslists",
    "tarpit",
    "exdata",
    "sizelimit",
    "maxperip",
)


def session_policy(settings: Settings) -> dict[str, Any]:
    """Those fields of `mta.policy.facts.Policy`."""
    return {
        "access": _access(),
        "limits": _limits(settings),
        "keeping": Keeping(
            settings.keep_refused.total_seconds(),
            settings.keep_refused_octets,
            settings.keep_refused_of == KeptRefusals.FILTERS,
        ),
        "terms": _terms(settings),
        "listeners": {row.name: _listener(row) for row in Listener.objects.all()},
        "rule_states": {row.rule: RuleState(row.state) for row in RuleStateRow.objects.all()},
        "dns_lists": _dns_lists(),
        "spf": _spf(settings),
        "bad_senders": frozenset(BadSender.objects.values_list("pattern", flat=True)),
        "freemail": {
            row.domain: (row.domain, *row.partners.split()) for row in FreemailDomain.objects.all()
        },
        "bad_mail_hosts": tuple(
            ip_network(network) for network in BadMailHost.objects.values_list("network", flat=True)
        ),
        "spam_traps": frozenset(SpamTrap.objects.values_list("address", flat=True)),
        "dsn_refusers": _dsn_refusers(settings),
        "suppress_backscatter": settings.suppress_backscatter,
        "vrfy": settings.vrfy,
        "expn": settings.expn,
        "site_filters": tuple(
            row.facts() for row in SiteFilter.objects.exclude(state=SiteFilter.State.OFF)
        ),
    }


def _access() -> tuple[Access, ...]:
    """The rules, longest prefix first."""
    rules = (
        Access(
            network=ip_network(row.prefix),
            allow=row.action != AccessRule.Action.DENY,
            relay=row.relay,
            text=row.text,
            blocks=row.action == AccessRule.Action.BLOCK,
            proxy=row.proxy,
            terms=_own_terms(row),
        )
        for row in AccessRule.objects.all()
    )
    return tuple(sorted(rules, key=lambda rule: -rule.network.prefixlen))


def _own_terms(row: AccessRule) -> dict[str, Any]:
    terms = {name: getattr(row, name) for name in _TERMS if getattr(row, name) is not None}
    if row.mime:
        terms["mime"] = MimeMode(row.mime)
    return terms


def _listener(row: Listener) -> dict[str, Any]:
    terms: dict[str, Any] = {"mime": MimeMode(row.mime), "tls_required": row.tls_required}
    if row.sizelimit is not None:
        terms["sizelimit"] = row.sizelimit
    return terms


def _terms(settings: Settings) -> Terms:
    return Terms(
        sizelimit=settings.sizelimit,
        checkdns=settings.checkdns,
        checkhelo=settings.checkhelo,
        tarpit=settings.tarpit,
        maxperip=settings.maxperip,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        recipients=settings.maxrcpts,
        recipients_submission=settings.maxrcpts_submission,
        recipients_hard=settings.maxrcpts_hard,
        connections_per_network=settings.maxperc,
        connections=settings.maxdaemons,
        new_connections_per_address=settings.maxnewperip,
        errors=settings.maxerrors,
        refused_recipients=settings.maxunknown,
        auth_failures=settings.maxauthfailures,
        data_rate=settings.mindatarate,
        header_size=settings.headerlimit,
        header_lines=settings.headerlines,
        hops=settings.maxhops,
        mime_depth=settings.mimedepth,
        mime_parts=settings.mimeparts,
    )


def _dns_lists() -> tuple[DnsListFact, ...]:
    return tuple(
        DnsListFact(
            zone=row.zone,
            allows=row.action == DnsList.Action.ALLOW,
            answers=tuple(row.answers.split()),
            text=row.text,
            state=RuleState(row.state),
        )
        for row in DnsList.objects.all()
        if _are_networks(row)
    )


def _are_networks(row: DnsList) -> bool:
    """Whether the answers that a list is narrowed to can be read; else nobody is listed by it,
    since without them everybody might be."""
    try:
        return all(ip_network(answer, strict=False) for answer in row.answers.split())
    except ValueError as error:
        log.warning("the DNS list %s is not asked: %s", row.zone, error)
        return False


def _spf(settings: Settings) -> SpfTerms:
    return SpfTerms(
        helo=_words(settings.spf_helo),
        mailfrom=_words(settings.spf_mailfrom),
        from_=_words(settings.spf_from),
        harderror=_words(settings.spf_harderror),
        trust_relays=settings.spf_trustme,
        verbose=not settings.spf_noverbose,
    )


def _words(value: str) -> frozenset[str]:
    return frozenset(value.replace(" ", "").split(","))


def _dsn_refusers(settings: Settings) -> dict[str, str]:
    """Domain -> what its server said; empty while the check is off."""
    if not settings.dsn_blacklist:
        return {}
    rows = DsnRefuser.objects.filter(
        exempt=False, refusals__gte=settings.dsn_blacklist_after, expires_at__gt=timezone.now()
    )
    return dict(rows.values_list("domain", "reply"))
