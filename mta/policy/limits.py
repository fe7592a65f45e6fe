"""Rules about how much: connections, recipients, sizes, hops."""

from mta.policy.facts import ContentFacts, Facts, Policy
from mta.policy.rule import Finding, Rule, optional, passed, refuse
from mta.protocol import status


@Rule
def all_connections(facts: Facts, policy: Policy) -> Finding:
    """The process serves so many connections and no more."""
    count, limit = facts.session.all_connections, policy.limits.connections
    if limit and count > limit:
        return refuse(f"{count} connections, limit {limit}", 421, "4.3.2", "too busy, try later")
    return passed(f"{count} of {limit or 'any number of'} connections")


@Rule
def connections_per_address(facts: Facts, policy: Policy) -> Finding:
    """One address may not take all the connections. Loopback is not limited."""
    session = facts.session
    access = policy.access_for(session.client_ip)
    own_limit = access is not None and "maxperip" in access.terms
    limit = policy.terms_for(session.client_ip, session.listener).maxperip
    return _connection_limit(facts, session.same_address, limit, "address", exempt=not own_limit)


@Rule
def connections_per_network(facts: Facts, policy: Policy) -> Finding:
    """The same for a /24 or a /64."""
    return _connection_limit(
        facts, facts.session.same_network, policy.limits.connections_per_network, "network"
    )


@optional()
def new_connections(facts: Facts, policy: Policy) -> Finding:
    """One address may not come anew all the time. Loopback is not limited."""
    if facts.session.is_loopback:
        return passed("loopback is not limited")
    count, limit = facts.session.new_connections, policy.limits.new_connections_per_address
    if limit and count > limit:
        return refuse(
            f"{count} connections in a minute, limit {limit}",
            421,
            "4.7.0",
            "too many new connections from your address, wait a minute",
        )
    return passed(f"{count} connections in a minute, limit {limit or 'none'}")


@Rule
def declared_size(facts: Facts, policy: Policy) -> Finding:
    """SIZE= on MAIL spares the client a transfer that would be refused (RFC 1870 6.1)."""
    assert facts.mail is not None
    size, limit = facts.mail.declared_size, size_limit(facts, policy)
    if size > limit:
        return refuse(
            f"{size} octets declared, limit {limit}",
            552,
            status.TOO_BIG,
            f"the message is too big: the limit is {limit} octets",
        )
    return passed(f"{size} octets declared, limit {limit}")


@Rule
def too_many_recipients(facts: Facts, policy: Policy) -> Finding:
    """Recipients beyond the limit are deferred: the client sends them in another transaction.

    Where the administrator wants it they fail, and their sender hears of it.
    """
    assert facts.rcpt is not None
    limits, earlier = policy.limits, facts.rcpt.earlier
    limit = limits.recipients_submission if facts.session.auth_user else limits.recipients
    if earlier < limit:
        return passed(f"{earlier} recipients before, limit {limit}")
    detail = f"{earlier} recipients already, limit {limit}"
    if limits.recipients_hard:
        too_many = status.with_class(status.TOO_MANY_RECIPIENTS, "5")
        return refuse(detail, 550, too_many, f"too many recipients: the limit is {limit}")
    text = "too many recipients, send the rest in another transaction"
    return refuse(detail, 452, status.TOO_MANY_RECIPIENTS, text)


@Rule
def size(facts: Facts, policy: Policy) -> Finding:
    """The content itself, whatever was declared."""
    content, limit = _content(facts), size_limit(facts, policy)
    if content.size > limit:
        return refuse(
            f"{content.size} octets, limit {limit}",
            552,
            status.TOO_BIG,
            f"the message is too big: the limit is {limit} octets",
        )
    return passed(f"{content.size} octets, limit {limit}")


@Rule
def hops(facts: Facts, policy: Policy) -> Finding:
    """Too many Received headers mean a mail loop (RFC 5321 6.3)."""
    content = _content(facts)
    if content.hops > policy.limits.hops:
        return refuse(
            f"{content.hops} Received headers, limit {policy.limits.hops}",
            554,
            status.ROUTING_LOOP,
            "mail loop: too many Received headers",
        )
    return passed(f"{content.hops} Received headers, limit {policy.limits.hops}")


@Rule
def header_size(facts: Facts, policy: Policy) -> Finding:
    """A header section that large is an attack or an accident."""
    content = _content(facts)
    if content.header_size > policy.limits.header_size:
        return refuse(
            f"{content.header_size} octets of header, limit {policy.limits.header_size}",
            552,
            status.TOO_BIG,
            f"the header is too big: the limit is {policy.limits.header_size} octets",
        )
    return passed(f"{content.header_size} octets of header, limit {policy.limits.header_size}")


@optional()
def header_lines(facts: Facts, policy: Policy) -> Finding:
    """So many header fields are an attack or an accident, too."""
    count, limit = _content(facts).header_lines, policy.limits.header_lines
    if count > limit:
        text = f"the header has too many fields: the limit is {limit}"
        return refuse(f"{count} header fields, limit {limit}", 552, status.TOO_BIG, text)
    return passed(f"{count} header fields, limit {limit}")


@Rule
def line_length(facts: Facts, policy: Policy) -> Finding:
    """Far longer than RFC 5321 4.5.3.1.6 allows, since much real mail breaks its 998."""
    content = _content(facts)
    if content.longest_line > policy.limits.line_length:
        return refuse(
            f"a line of {content.longest_line} octets, limit {policy.limits.line_length}",
            500,
            "5.6.0",
            "a line of the message is too long",
        )
    return passed(f"the longest line has {content.longest_line} octets")


@Rule
def line_ends(facts: Facts, policy: Policy) -> Finding:
    """A lone CR or LF is how messages are smuggled past servers (RFC 5321 2.3.8)."""
    if _content(facts).bare_line_ends:
        return refuse(
            "a CR or LF that is not part of a CRLF",
            550,
            "5.6.11",
            "lines must end in CRLF: the message has a bare CR or LF",
        )
    return passed("every line ends in CRLF")


def size_limit(facts: Facts, policy: Policy) -> int:
    """The largest message that this session may send, octets: its user's own limit, else that
    of its network, its listener or the settings."""
    session = facts.session
    user = facts.mail.user if facts.mail else None
    limit = policy.terms_for(session.client_ip, session.listener).sizelimit
    return user.sizelimit if user and user.sizelimit else limit


def _connection_limit(
    facts: Facts, count: int, limit: int, what: str, *, exempt: bool = True
) -> Finding:
    if exempt and facts.session.is_loopback:
        return passed("loopback is not limited")
    if limit and count > limit:
        return refuse(
            f"{count} connections of this {what}, limit {limit}",
            421,
            "4.7.0",
            f"too many connections from your {what}",
        )
    return passed(f"{count} connections of this {what}, limit {limit or 'none'}")


def _content(facts: Facts) -> ContentFacts:
    assert facts.content is not None
    return facts.content
