"""What a rule is: a named pure function from facts and policy to a finding."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from mta.policy.facts import Facts, Policy, RuleState
from mta.protocol import status
from mta.protocol.reply import Reply

Check = Callable[[Facts, Policy], "Finding"]

# Most rules say the same of most mail; what was said lately is not made anew.
FINDINGS_KEPT = 2048


@dataclass(frozen=True, slots=True)
class Word:
    """What one of several said; `name` is that of the step in the trace. `reply` is what it would
    have refused with if it did not only log."""

    name: str
    matched: bool
    detail: str
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. It answers by accepting (reply None) or with a reply of its own.

    `log_only` is set by a rule whose own entry says so (a DNS list); the stage then goes on.
    `words` are what several of one kind said who were asked together (site filters); `by` is the
    name of the one who answered.
    """

    detail: str
    answered: bool = False
    reply: Reply | None = None
    log_only: bool = False
    words: tuple[Word, ...] = ()
    by: str = ""


class Rule:
    """A rule function with its name; the name is what traces, history and console show.

    `default` is None for a rule that is always in force. An optional one has the state that the
    administrator gave it, and `default` before that.
    """

    def __init__(self, check: Check, default: RuleState | None = None) -> None:
        self.check = check
        self.default = default
        self.__name__ = check.__name__
        self.__doc__ = check.__doc__

    def __call__(self, facts: Facts, policy: Policy) -> Finding:
        return self.check(facts, policy)

    @property
    def is_optional(self) -> bool:
        return self.default is not None

    def state(self, policy: Policy) -> RuleState:
        if self.default is None:
            return RuleState.ENFORCE
        if not policy.rule_states:
            return self.default
        return policy.rule_states.get(self.__name__, self.default)


def optional(default: RuleState = RuleState.ENFORCE) -> Callable[[Check], Rule]:
    """Decorates a rule that may be switched off, or made to log only."""
    return lambda check: Rule(check, default)


@lru_cache(FINDINGS_KEPT)
def passed(detail: str) -> Finding:
    """The rule does not apply; the next one is asked."""
    return Finding(detail)


@lru_cache(FINDINGS_KEPT)
def accept(detail: str) -> Finding:
    """The stage is accepted; no further rule is asked."""
    return Finding(detail, answered=True)


def refuse(detail: str, code: int, enhanced: str, text: str) -> Finding:
    """The stage is refused (5xx) or deferred (4xx) with this reply."""
    return Finding(detail, answered=True, reply=Reply(code, enhanced, text))


def refuse_with_text(detail: str, text: str) -> Finding:
    """Refused with an administrator's words; a reply code at their beginning counts (spec 2.11)."""
    code, _, words = text.partition(" ")
    if not (len(code) == 3 and code.isascii() and code.isdecimal() and code[0] in "45"):
        code, words = "550", text
    not_permitted = status.with_class(status.NOT_PERMITTED, code[0])
    return refuse(detail, int(code), not_permitted, words.strip() or "not permitted")


def only_logged(finding: Finding) -> Finding:
    """The same, but the stage goes on."""
    return replace(finding, log_only=True)
