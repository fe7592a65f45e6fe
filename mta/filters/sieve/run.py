"""One evaluation under way: what it has found out, asked for and used up.

The functions of tests and commands, in the modules that `evaluate` names, are given the Run and
their Call. They look at the message through it, compare through it, and ask for actions.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mta.filters.sieve import actions, program
from mta.filters.sieve.actions import Action
from mta.filters.sieve.matching import BadKey, Comparison, Key, Match, Span
from mta.filters.sieve.message import Message
from mta.filters.sieve.program import Call, Program, Text
from mta.filters.sieve.surroundings import Budget, Surroundings
from mta.filters.sieve.templates import Template
from mta.filters.sieve.wildcards import TooCostly

_MAX_TRACE = 1_000
_MAX_STEP = 1_000
_SHOWN_VALUES = 5
_SHOWN_CHARACTERS = 80


class Over(Exception):
    """The script has used up a budget, or asks for what cannot be done; the message says which."""


class Stopped(Exception):
    """By the command `stop`."""


class Returned(Exception):
    """By the command `return` (RFC 6609)."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one test compared, or what one action asked for. `matched` is None for actions."""

    line: int
    text: str
    matched: bool | None


@dataclass(slots=True)
class Frame:
    """One script that is being evaluated, the included ones each with their own variables."""

    script: Program
    label: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    matches: tuple[str, ...] = ()
    shared: set[str] = field(default_factory=set)


Test = Callable[["Run", Call], bool]
Do = Callable[["Run", Call], None]


class Run:
    def __init__(
        self,
        message: Message,
        surroundings: Surroundings,
        budget: Budget,
        commands: Mapping[str, Do],
        tests: Mapping[str, Test],
    ) -> None:
        self.original = self.message = message
        self.surroundings = surroundings
        self.budget = budget
        self.trace: list[Step] = []
        self.actions: list[Action] = []
        self.flags: tuple[str, ...] = ()
        self.seen: dict[str, int] = {}
        self.shared: dict[str, str] = {}
        self.frames: list[Frame] = []
        self.included: set[tuple[str, str]] = set()
        self.body_texts: dict[tuple[str, ...], list[str]] = {}
        self.implicit_keep = True
        self.includes = self.edits = 0
        self._commands, self._tests = commands, tests
        self._steps = 0
        self._started = time.monotonic()
        self._folded: dict[tuple[str, Comparison], str] = {}

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    # Going through the script

    def script(self, frame: Frame) -> None:
        self.frames.append(frame)
        try:
            self._block(frame.script.commands)
        except Returned:
            pass
        finally:
            self.frames.pop()

    def _block(self, commands: tuple[program.Command, ...]) -> None:
        for command in commands:
            self.spend(command.at.line)
            if isinstance(command, Call):
                self._commands[command.name](self, command)
                continue
            for test, block in command.branches:
                if self.holds(test):
                    self._block(block)
                    break

    def holds(self, test: Call) -> bool:
        self.spend(test.at.line)
        return self._tests[test.name](self, test)

    # Strings and variables

    def text(self, text: Text) -> str:
        return text if isinstance(text, str) else text.expand(self.variable)

    def texts(self, texts: Iterable[Text]) -> list[str]:
        return [each if isinstance(each, str) else self.text(each) for each in texts]

    def argument(self, call: Call, index: int) -> str:
        """The argument that is one string."""
        return self.text(call.texts(index)[0])

    def option(self, call: Call, group: str) -> str:
        """The string behind a tag, "" when the tag was not given."""
        texts = call.option_texts(group)
        return self.text(texts[0]) if texts else ""

    def variable(self, name: str) -> str:
        frame = self.frame
        if name.isdigit():
            number = int(name)
            return frame.matches[number] if number < len(frame.matches) else ""
        return self._variables(name).get(name.removeprefix("global."), "")

    def set_variable(self, name: str, value: str, line: int) -> None:
        variables = self._variables(name)
        # Cut and not refused (RFC 5229, section 6).
        variables[name.removeprefix("global.")] = value[: self.budget.variable_size]
        if len(variables) > self.budget.variables:
            raise Over(f"line {line}: more than {self.budget.variables} variables")

    def _variables(self, name: str) -> dict[str, str]:
        if name.startswith("global.") or name in self.frame.shared:
            return self.shared
        return self.frame.variables

    # Comparing

    def compare(
        self,
        call: Call,
        values: Sequence[str],
        said: str,
        *,
        keys: Sequence[Key] | None = None,
        sets_variables: bool = True,
    ) -> bool:
        """Does any value match any key? `said` names the values in the trace.

        The keys are those of the call unless the test reads them in its own way.
        """
        comparison = call.comparison or Comparison()
        if comparison.match is Match.COUNT:
            values, said = [str(len(values))], f"number of {said}"
        keys = self.keys(call) if keys is None else keys
        for value in values:
            folded = self._fold(value, comparison)
            for key in keys:
                self.spend(call.at.line)
                spans = self.spans(call, value, folded, key)
                if spans is not None:
                    if sets_variables:
                        self._remember(value, spans)
                    return self.note(call, _sentence(comparison, said, [value], [key], True), True)
        return self.note(call, _sentence(comparison, said, values, keys, False), False)

    def spans(self, call: Call, value: str, folded: str, key: Key) -> Sequence[Span] | None:
        try:
            return (call.comparison or Comparison()).holds(value, folded, key)
        except TooCostly as error:
            raise Over(f"line {call.at.line}: {error}") from error

    def _fold(self, value: str, comparison: Comparison) -> str:
        """Long texts are asked about again and again, so they are folded once."""
        if len(value) < 4096:
            return comparison.fold(value)
        found = self._folded.get((value, comparison))
        if found is None:
            if len(self._folded) > 64:
                self._folded.clear()
            found = self._folded[(value, comparison)] = comparison.fold(value)
        return found

    def keys(self, call: Call) -> list[Key]:
        """What the test compares with, variables put in."""
        return [each if isinstance(each, Key) else self._key(call, each) for each in call.keys]

    def _key(self, call: Call, template: Template) -> Key:
        try:
            return (call.comparison or Comparison()).key(self.text(template))
        except BadKey as error:
            raise Over(f"line {call.at.line}: {error}") from error

    def _remember(self, value: str, spans: Sequence[Span]) -> None:
        """RFC 5229, section 3.2: what the last match that succeeded has found."""
        if spans and "variables" in self.frame.script.capabilities:
            size = self.budget.variable_size
            found = (value[start:end][:size] if start >= 0 else "" for start, end in spans[:100])
            self.frame.matches = tuple(found)

    # Acting

    def act(self, action: Action, *, copy: bool = False) -> None:
        """Section 2.10.3: the same action with the same argument is done once."""
        for index, each in enumerate(self.actions):
            if _subject(each) == _subject(action):
                self.actions[index] = replace(action, line=each.line)
                break
        else:
            self._check(action)
            self.actions.append(action)
        if not copy:
            self.implicit_keep = False

    def _check(self, action: Action) -> None:
        asked = [*self.actions, action]
        if len(asked) > self.budget.actions:
            raise Over(f"line {action.line}: more than {self.budget.actions} actions")
        if sum(isinstance(each, actions.Redirect) for each in asked) > self.budget.redirects:
            raise Over(f"line {action.line}: more than {self.budget.redirects} redirects")
        if sum(isinstance(each, actions.Vacation) for each in asked) > 1:
            raise Over(f"line {action.line}: a message gets one vacation reply")
        # RFC 5429, section 2.4: who refuses a message has not taken it as well.
        if any(isinstance(each, actions.Reject) for each in asked):
            beside = (actions.Discard, actions.Notify)
            if sum(not isinstance(each, beside) for each in asked) > 1:
                raise Over(f"line {action.line}: a refusal excludes other actions")

    def settled(self) -> tuple[Action, ...]:
        """Section 2.10.2: kept unless an action has cancelled that."""
        kept = any(isinstance(each, actions.Keep) for each in self.actions)
        if self.implicit_keep and not kept:
            return (*self.actions, actions.Keep(self.flags))
        return tuple(self.actions)

    # Telling and counting

    def note(self, call: Call, text: str, matched: bool | None = None) -> bool:
        if len(self.trace) < _MAX_TRACE:
            told = f"{self.frame.label}{text}"[:_MAX_STEP]
            self.trace.append(Step(call.at.line, told, matched))
        return bool(matched)

    def spend(self, line: int) -> None:
        self._steps += 1
        if self._steps > self.budget.steps:
            raise Over(f"line {line}: more than {self.budget.steps} steps")
        if time.monotonic() - self._started > self.budget.seconds:
            raise Over(f"line {line}: more than {self.budget.seconds:g} s")


def _subject(action: Action) -> Action:
    """What makes two actions the same: not where they stand, and not the flags."""
    if isinstance(action, actions.Keep | actions.FileInto):
        action = replace(action, flags=())
    if isinstance(action, actions.FileInto):
        action = replace(action, create=False)
    return replace(action, line=0)


def shown(texts: Iterable[str], between: str = ", ") -> str:
    """The first texts, each in quotes and cut."""
    listed = list(texts)
    words = [_quoted(each) for each in listed[:_SHOWN_VALUES]]
    if len(listed) > _SHOWN_VALUES:
        words.append(f"{len(listed) - _SHOWN_VALUES} more")
    return between.join(words)


def _quoted(text: str) -> str:
    cut = f"{text[:_SHOWN_CHARACTERS]}..." if len(text) > _SHOWN_CHARACTERS else text
    return repr(cut)


def _sentence(
    comparison: Comparison, said: str, values: Sequence[str], keys: Sequence[Key], matched: bool
) -> str:
    wanted = shown((each.text for each in keys), " or ")
    if not values:
        return f"{said}: there is none, so nothing {comparison.words(matched=True)} {wanted}"
    return f"{said}: {shown(values)} {comparison.words(matched=matched)} {wanted}"
