"""What a rule is: a named pure function from facts and policy to a finding."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mta.policy.facts import Facts, Policy, RuleState
from mta.protocol.reply import Reply

Check = Callable[[Facts, Policy], "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. It answers by accepting (reply None) or with a reply of its own.

    `log_only` is set by a rule whose own entry says so (a DNS list); the stage then goes on.
    """

    detail: str
    answered: bool = False
    reply: Reply | None = None
    log_only: bool = False


class Rule:
    """A rule function with its name; the name is what traces, history and console show.

    `default` is None for a rule that is always in force. An optional one has the state that the
    administrator gave it, and `default` before that.
    """

    def __init__(self, check: Check, default: RuleState | None = None) -> None:
        self._check = check
        self.default = default
        self.__name__ = check.__name__
        self.__doc__ = check.__doc__

    def __call__(self, facts: Facts, policy: Policy) -> Finding:
        return self._check(facts, policy)

    @property
    def is_optional(self) -> bool:
        return self.default is not None

    def state(self, policy: Policy) -> RuleState:
        if self.default is None:
            return RuleState.ENFORCE
        return policy.rule_states.get(self.__name__, self.default)


def optional(default: RuleState = RuleState.ENFORCE) -> Callable[[Check], Rule]:
    """Decorates a rule that may be switched off, or made to log only."""
    return lambda check: Rule(check, default)


def passed(detail: str) -> Finding:
    """The rule does not apply; the next one is asked."""
    return Finding(detail)


def accept(detail: str) -> Finding:
    """The stage is accepted; no further rule is asked."""
    return Finding(detail, answered=True)


def refuse(detail: str, code: int, status: str, text: str) -> Finding:
    """The stage is refused (5xx) or deferred (4xx) with this reply."""
    return Finding(detail, answered=True, reply=Reply(code, status, text))


def only_logged(finding: Finding) -> Finding:
    """The same, but the stage goes on."""
    return replace(finding, log_only=True)
