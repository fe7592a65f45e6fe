"""An address that failed a moment ago is refused, instead of bouncing once more (spec 4.9)."""

from mta.policy import answers, relay, routing
from mta.policy.facts import Facts, Policy, Standing
from mta.policy.rule import Finding, optional, passed, refuse
from mta.protocol import address as addresses

_FAILED = "5.1.0"
_DEFERRED = "4.1.0"


@optional()
def backscatter(facts: Facts, policy: Policy) -> Finding:
    """Refuses an address that leaves this host when its last delivery, or a member's, failed."""
    assert facts.rcpt is not None
    resolution = facts.rcpt.resolution
    if not policy.suppress_backscatter:
        return passed("switched off")
    if resolution.standing not in (Standing.ALIAS, Standing.BACKUP, Standing.UUCP):
        return passed("nothing is sent on")
    if not facts.session.client_ip or relay.is_one_of_us(facts, policy):
        return passed("users and networks that may relay are not asked")
    leaving = tuple(
        target for target in resolution.targets if routing.nexthop(target, policy) != ""
    )
    if not leaving:
        return passed("nothing is sent on")
    answer = facts.answer(answers.address_trouble(leaving))
    # The members of a list are nobody the sender knows: only the trace names them.
    shown = f"<{addresses.wire(resolution.address)}>"
    detail = f"{' '.join(answer.values)}: {answer.text}"
    if answer.word == answers.Trouble.FAILED:
        return refuse(detail, 556, _FAILED, f"{shown}: an earlier delivery failed")
    if answer.word == answers.Trouble.DEFERRED:
        return refuse(detail, 456, _DEFERRED, f"{shown}: an earlier delivery still waits")
    return passed("no trouble with it lately")
