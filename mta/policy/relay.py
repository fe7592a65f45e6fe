"""Rules about networks, and the closed relay.

Nothing relays by default, loopback included. A grant hangs on an authenticated user or on the
row of one network; there is no switch that opens everything.
"""

from mta.policy.facts import Facts, Policy
from mta.policy.rule import Finding, Rule, accept, passed, refuse
from mta.protocol import status


@Rule
def denied_network(facts: Facts, policy: Policy) -> Finding:
    """An access rule may close the door on a network."""
    rule = policy.access_for(facts.session.client_ip)
    if rule is None:
        return passed("no access rule for this address")
    if rule.allow:
        return passed(f"access rule {rule.network} allows it")
    text = rule.text or "your network may not send mail here"
    return refuse(f"access rule {rule.network} denies it", 554, status.NOT_PERMITTED, text)


def has_grant(facts: Facts, policy: Policy) -> bool:
    """Whether the client's network may relay."""
    rule = policy.access_for(facts.session.client_ip)
    return rule is not None and rule.relay and rule.allow and not rule.blocks


def is_one_of_us(facts: Facts, policy: Policy) -> bool:
    """A user, or a client of a network that may relay: the checks of strangers are not for it."""
    return bool(facts.session.auth_user) or has_grant(facts, policy)


@Rule
def authenticated_user(facts: Facts, policy: Policy) -> Finding:
    """Who has proved to be a user of ours may send anywhere."""
    if facts.session.auth_user:
        return accept(f"authenticated as {facts.session.auth_user}")
    return passed("not authenticated")


@Rule
def granted_network(facts: Facts, policy: Policy) -> Finding:
    """A network whose access rule says relay. The longest prefix alone counts, no merging."""
    rule = policy.access_for(facts.session.client_ip)
    if rule is None:
        return passed("no access rule for this address")
    if has_grant(facts, policy):
        return accept(f"access rule {rule.network} grants relaying")
    return passed(f"access rule {rule.network} does not grant relaying")


@Rule
def denied(facts: Facts, policy: Policy) -> Finding:
    """The end of the list: a foreign domain, and nothing that permits it."""
    assert facts.rcpt is not None
    return refuse(
        "the domain is not ours and nothing permits relaying",
        550,
        status.NOT_PERMITTED,
        "relaying denied: authenticate, or send to the domain's own server",
    )
