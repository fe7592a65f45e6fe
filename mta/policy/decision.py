"""Step 2: one pure `decide()` for every stage of a session.

The ingress calls it, the simulator calls it, the tests call it. A stage is a tuple of rules in
order; the first rule that answers decides, and every rule considered leaves a step in the trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from mta.policy import (
    backscatter,
    client,
    content,
    limits,
    mailbox_filter,
    recipients,
    relay,
    return_address,
    sender,
    site_filter,
    spf,
    verdict,
)
from mta.policy.facts import Facts, Policy, RuleState
from mta.policy.rule import FINDINGS_KEPT, Rule
from mta.protocol.reply import Reply


class Stage(StrEnum):
    CONNECT = "connect"
    HELO = "helo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    CONTENT = "content"
    VERDICT = "verdict"


class Verdict(StrEnum):
    ACCEPT = "accept"
    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Step:
    """A rule that was considered, whether it answered, and why in a few words.

    `reply` is what a rule that only logs would have said, None for all others.
    """

    rule: str
    matched: bool
    detail: str
    reply: Reply | None = None


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

    @property
    def logged(self) -> tuple[Step, ...]:
        """The rules that only log and would have refused."""
        return tuple(step for step in self.steps if step.reply is not None)


# The order is Courier's (spec 2.11), and it matters: the first rule that answers decides. What
# accepts a recipient stands behind all that may refuse it; what permits relaying stands last.
RULES: Mapping[Stage, tuple[Rule, ...]] = {
    Stage.CONNECT: (
        relay.denied_network,
        limits.all_connections,
        limits.connections_per_address,
        limits.connections_per_network,
        limits.new_connections,
        site_filter.site_filter_connect,
    ),
    # What HELO said is judged at MAIL, so that AUTH can come between.
    Stage.HELO: (),
    Stage.AUTH: (sender.auth_in_clear, sender.auth_failures, sender.credentials),
    Stage.MAIL: (
        relay.denied_network,
        sender.tls_required,
        sender.authentication_required,
        sender.user_disabled,
        sender.sender_login,
        limits.declared_size,
        sender.needs_smtputf8,
        spf.spf_helo,
        spf.spf_mailfrom,
        client.helo_check,
        return_address.bad_sender,
        return_address.freemail,
        return_address.sender_domain,
        return_address.bad_mail_host,
        return_address.dsn_refuser,
        site_filter.site_filter_sender,
    ),
    Stage.RCPT: (
        limits.too_many_recipients,
        client.blocked_network,
        client.dns_lists,
        backscatter.backscatter,
        mailbox_filter.mailbox_filter,
        mailbox_filter.mailbox_filter_class,
        site_filter.site_filter_recipient,
        recipients.mailbox,
        recipients.alias,
        recipients.srs,
        recipients.uucp_neighbour,
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
        limits.header_lines,
        limits.line_length,
        limits.line_ends,
        content.eight_bit_header,
        spf.spf_from,
        content.spam_trap,
        content.mime,
        site_filter.site_filter_content,
    ),
    # Asked once for each recipient after the content was accepted.
    Stage.VERDICT: (
        site_filter.site_filter_verdict,
        verdict.mailbox_size,
        verdict.mailbox_quota,
        mailbox_filter.mailbox_filter_content,
    ),
}

_DEFAULT_REPLIES: Mapping[Stage, Reply] = {
    Stage.CONNECT: Reply(220, "", "welcome"),
    Stage.HELO: Reply(250, "", "Ok"),
    Stage.AUTH: Reply(235, "2.7.0", "authenticated"),
    Stage.MAIL: Reply(250, "2.1.0", "Sender Ok"),
    Stage.RCPT: Reply(250, "2.1.5", "Recipient Ok"),
    Stage.CONTENT: Reply(250, "2.0.0", "Ok"),
    Stage.VERDICT: Reply(250, "2.1.5", "Ok"),
}


def decide(
    stage: Stage, facts: Facts, policy: Policy, rules: tuple[Rule, ...] | None = None
) -> Decision:
    """The verdict on one stage, with its trace. Pure: no I/O, no clock, no chance.

    `rules` are those of the stage, unless mail without a session is to be judged. Raises
    Unanswered when a rule asks what is not among the facts; call it again with that.
    """
    steps: list[Step] = []
    for rule in RULES[stage] if rules is None else rules:
        state = rule.state(policy)
        if state is RuleState.OFF:
            steps.append(_step(rule.__name__, False, "switched off"))
            continue
        finding = rule.check(facts, policy)
        name = finding.by or rule.__name__
        for word in finding.words:
            steps.append(Step(word.name, word.matched, word.detail, word.reply))
        if not finding.answered:
            steps.append(_step(rule.__name__, False, finding.detail))
        elif finding.reply is not None and (finding.log_only or state is RuleState.LOG):
            detail = f"only logged: {finding.detail}"
            steps.append(Step(rule.__name__, True, detail, finding.reply))
        else:
            steps.append(_step(name, True, finding.detail))
            reply = finding.reply or _DEFAULT_REPLIES[stage]
            return Decision(stage, _verdict(reply), reply, name, tuple(steps), policy.version)
    reply = _DEFAULT_REPLIES[stage]
    return Decision(stage, Verdict.ACCEPT, reply, "default", tuple(steps), policy.version)


@lru_cache(FINDINGS_KEPT)
def _step(rule: str, matched: bool, detail: str) -> Step:  # noqa: FBT001 (a cache has no names)
    """The same step again is the same object: most mail passes most rules for the same reason."""
    return Step(rule, matched, detail)


def _verdict(reply: Reply) -> Verdict:
    if reply.is_positive:
        return Verdict.ACCEPT
    return Verdict.DEFER if reply.is_transient else Verdict.REFUSE
