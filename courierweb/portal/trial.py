"""What a script does with a message, in words: for "Try it" and "What would this have done?"."""

import time
from dataclasses import dataclass

from courierweb.portal.rule import Rule, Vacation
from courierweb.portal.rules import Script
from mta.filters.sieve import actions
from mta.filters.sieve.actions import Action
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Message, Surroundings, evaluate
from mta.filters.sieve.program import Program
from mta.filters.sieve.syntax import SieveError

INBOX = "Inbox"


@dataclass(frozen=True, slots=True)
class Step:
    """`matched` is None for what was done; `rule` is the rule it belongs to."""

    line: int
    rule: str
    text: str
    matched: bool | None


@dataclass(frozen=True, slots=True)
class Trial:
    steps: tuple[Step, ...]
    outcome: str
    error: str = ""


def run(program: Program, message: Message, at: float = 0.0, separators: str = "+") -> str:
    """What would be done with it, in one line."""
    around = Surroundings(at=at or time.time(), separators=separators)
    result = evaluate(program, message, around)
    return f"Inbox (the script failed: {result.error})" if result.error else place(result.actions)


def attempt(text: str, script: Script, message: Message, at: float = 0.0) -> Trial:
    """Step by step. Raises SieveError."""
    result = evaluate(compile_script(text), message, Surroundings(at=at or time.time()))
    names = _names_by_line(script)
    steps = tuple(
        Step(each.line, names.get(each.line, ""), each.text, each.matched) for each in result.trace
    )
    return Trial(steps, place(result.actions), result.error)


def compiled(text: str) -> Program | None:
    """None for a script that cannot be used, which keeps everything."""
    try:
        return compile_script(text)
    except SieveError:
        return None


def place(done: tuple[Action, ...]) -> str:
    return ", ".join(dict.fromkeys(map(_in_words, done))) or "thrown away"


def _in_words(action: Action) -> str:
    match action:
        case actions.Keep():
            return INBOX + _flagged(action.flags)
        case actions.FileInto():
            return action.folder + _flagged(action.flags)
        case actions.Discard():
            return "thrown away"
        case actions.Redirect():
            return f"forwarded to {action.address}"
        case actions.Reject():
            return "refused"
        case actions.Vacation():
            return "answered (vacation)"
    return "notification sent"


def _flagged(flags: tuple[str, ...]) -> str:
    words = [{"\\seen": "read", "\\flagged": "flagged"}.get(f.lower(), f) for f in flags]
    return f" ({', '.join(words)})" if words else ""


def _names_by_line(script: Script) -> dict[int, str]:
    names: dict[int, str] = {}
    line = script.head.count("\n") + 1
    for number, item in enumerate(script.items, 1):
        content = item.content
        name = f"Sieve block {number}"
        if isinstance(content, Rule):
            name = content.name or f"Rule {number}"
        elif isinstance(content, Vacation):
            name = "Vacation"
        lines = item.text.count("\n")
        names.update(dict.fromkeys(range(line, line + lines + 1), name))
        line += lines
    return names
