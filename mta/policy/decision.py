"""Step 2: one pure `decide()` for every stage of a session.

The ingress calls it, the simulator calls it, the tests call it. A stage is a tuple of rules in
order; the first rule that answers decides, and every rule considered leaves a step in the trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mta.policy import limits, recipients, relay, sender
from mta.policy.facts import Facts, Policy
from mta.policy.rule import Rule
from mta.protocol.reply import Reply


class Stage(StrEnum):
    CONNECT = "connect"
    HELO = "helo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    CONTENT = "content"


class Verdict(StrEnum):
    ACCEPT = "accept"
    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Step:
    """A rule that was considered, whether it answered, and why in a few words."""

    rule: str
    matched: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, the reply the client reads, the rule that gave it, and how it came about."""

    stage: Stage
    verdict: Verdict
    reply: Reply
    rule: str
    steps: tuple[Step, ...]
    version: int

    @property
    def accepted(self) -> bool:
        return self.verdict is Verdict.ACCEPT


RULES: Mapping[Stage, tuple[Rule, ...]] = {
    Stage.CONNECT: (
        relay.denied_network,
        limits.all_connections,
        limits.connections_per_address,
        limits.connections_per_network,
    ),
    Stage.HELO: (),
    Stage.AUTH: (sender.auth_in_clear, sender.credentials),
    Stage.MAIL: (
        relay.denied_network,
        sender.authentication_required,
        sender.user_disabled,
        limits.declared_size,
        sender.needs_smtputf8,
    ),
    Stage.RCPT: (
        limits.too_many_recipients,
        recipients.mailbox,
        recipients.alias,
        recipients.backup_domain,
        recipients.unknown_here,
        relay.authenticated_user,
        relay.granted_network,
        relay.denied,
    ),
    Stage.CONTENT: (
        limits.size,
        limits.hops,
        limits.header_size,
        limits.line_length,
        limits.line_ends,
        sender.eight_bit_header,
    ),
}

_DEFAULT_REPLIES: Mapping[Stage, Reply] = {
    Stage.CONNECT: Reply(220, "", "welcome"),
    Stage.HELO: Reply(250, "", "Ok"),
    Stage.AUTH: Reply(235, "2.7.0", "authenticated"),
    Stage.MAIL: Reply(250, "2.1.0", "Sender Ok"),
    Stage.RCPT: Reply(250, "2.1.5", "Recipient Ok"),
    Stage.CONTENT: Reply(250, "2.0.0", "Ok"),
}


def decide(stage: Stage, facts: Facts, policy: Policy) -> Decision:
    """The verdict on one stage, with its trace. Pure: no I/O, no clock, no chance."""
    steps: list[Step] = []
    for rule in RULES[stage]:
        finding = rule(facts, policy)
        name = rule.__name__
        steps.append(Step(name, finding.answered, finding.detail))
        if finding.answered:
            reply = finding.reply or _DEFAULT_REPLIES[stage]
            return Decision(stage, _verdict(reply), reply, name, tuple(steps), policy.version)
    reply = _DEFAULT_REPLIES[stage]
    return Decision(stage, Verdict.ACCEPT, reply, "default", tuple(steps), policy.version)


def _verdict(reply: Reply) -> Verdict:
    if reply.is_positive:
        return Verdict.ACCEPT
    return Verdict.DEFER if reply.is_transient else Verdict.REFUSE
