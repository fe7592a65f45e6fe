"""What a rule is: a named pure function from facts and policy to a finding."""

from collections.abc import Callable
from dataclasses import dataclass

from mta.policy.facts import Facts, Policy
from mta.protocol.reply import Reply


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. It answers by accepting (reply None) or with a reply of its own."""

    detail: str
    answered: bool = False
    reply: Reply | None = None


class Rule:
    """A rule function with its name; the name is what traces, history and console show."""

    def __init__(self, check: Callable[[Facts, Policy], Finding]) -> None:
        self._check = check
        self.__name__ = check.__name__
        self.__doc__ = check.__doc__

    def __call__(self, facts: Facts, policy: Policy) -> Finding:
        return self._check(facts, policy)


def passed(detail: str) -> Finding:
    """The rule does not apply; the next one is asked."""
    return Finding(detail)


def accept(detail: str) -> Finding:
    """The stage is accepted; no further rule is asked."""
    return Finding(detail, answered=True)


def refuse(detail: str, code: int, status: str, text: str) -> Finding:
    """The stage is refused (5xx) or deferred (4xx) with this reply."""
    return Finding(detail, answered=True, reply=Reply(code, status, text))
