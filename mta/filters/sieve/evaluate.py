"""Evaluate: a program over one message gives actions in order and a trace (RFC 5228)."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from functools import cached_property

from mta.filters.sieve import actions, program
from mta.filters.sieve.actions import Action
from mta.filters.sieve.program import Match, Part, Subject, Verb
from mta.filters.sieve.wildcards import TooCostly, wildcard_match

logger = logging.getLogger(__name__)

_FOLD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Budget:
    """`seconds` are looked at between comparisons; `:matches` bounds itself."""

    steps: int = 20_000
    actions: int = 32
    redirects: int = 4
    seconds: float = 1.0


class Message:
    """One message as tests see it; its header is parsed when the first test asks for it."""

    def __init__(self, content: bytes, reverse_path: str, recipient: str) -> None:
        self.content = content
        self.envelope = {"from": reverse_path, "to": recipient}

    @cached_property
    def _fields(self) -> dict[str, list[str]]:
        fields: dict[str, list[str]] = {}
        for name, value in BytesHeaderParser().parsebytes(self.content).raw_items():
            fields.setdefault(name.lower(), []).append(str(value))
        return fields

    def has(self, name: str) -> bool:
        return name.lower() in self._fields

    def header(self, name: str) -> list[str]:
        """The decoded values of all fields of that name."""
        return [_decoded(each) for each in self._fields.get(name.lower(), ())]

    def addresses(self, name: str) -> list[str]:
        unfolded = ["".join(each.splitlines()) for each in self._fields.get(name.lower(), ())]
        return [address for _, address in getaddresses(unfolded) if address]


def _nothing_seen(key: str) -> bool:
    return False


def _every_mailbox(name: str) -> bool:
    return True


def _no_script(where: str, name: str) -> "program.Program | None":
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a script may know beside the message.

    `at` is in seconds since the epoch, `zone` an offset in minutes. `items` are those of RFC 5183
    ("phase", "name", "location", "remote-ip", ...). `has_seen` answers for a key of RFC 7352,
    `has_mailbox` for a folder (RFC 5490), `script` for `include` ("personal" or "global", name;
    RFC 6609). `separators` divide a local part from its detail (RFC 5233).
    """

    at: float = 0.0
    zone: int = 0
    items: Mapping[str, str] = field(default_factory=dict)
    has_seen: Callable[[str], bool] = _nothing_seen
    has_mailbox: Callable[[str], bool] = _every_mailbox
    script: Callable[[str, str], "program.Program | None"] = _no_script
    separators: str = "+"


@dataclass(frozen=True, slots=True)
class Step:
    """What one test compared, or what one action asked for. `matched` is None for actions."""

    line: int
    text: str
    matched: bool | None


@dataclass(frozen=True, slots=True)
class Result:
    """`error` says why the script did not run to its end; the message is then kept.

    `content` is the message as the script has edited it, None for as it was. `seen` are keys that
    `duplicate` asks to remember once the message is delivered, with the seconds.
    """

    actions: tuple[Action, ...]
    trace: tuple[Step, ...]
    error: str = ""
    content: bytes | None = None
    seen: tuple[tuple[str, int], ...] = ()


def evaluate(
    script: program.Program,
    message: Message,
    surroundings: Surroundings | None = None,
    budget: Budget | None = None,
) -> Result:
    """Never raises: a script that fails keeps the message, and does nothing else."""
    run = _Run(message, surroundings or Surroundings(), budget or Budget())
    try:
        run.block(script.commands)
    except (_Over, TooCostly) as over:
        error = str(over)
    except Exception:
        logger.exception("a Sieve script failed")
        error = "the script could not be evaluated"
    else:
        return Result(run.settled(), tuple(run.trace))
    return Result((actions.Keep(),), tuple(run.trace), error)


class _Over(Exception):
    """The script has used up a budget, or asks for actions that exclude each other."""


@dataclass(slots=True)
class _Run:
    message: Message
    surroundings: Surroundings
    budget: Budget
    trace: list[Step] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    implicit_keep: bool = True
    steps: int = 0
    started: float = field(default_factory=time.monotonic)

    def block(self, commands: tuple[program.Command, ...]) -> bool:
        """False when the script has stopped."""
        return all(self._command(each) for each in commands)

    def settled(self) -> tuple[Action, ...]:
        """Section 2.10.2: kept unless an action has cancelled that."""
        kept = any(isinstance(each, actions.Keep) for each in self.actions)
        if self.implicit_keep and not kept:
            return (*self.actions, actions.Keep())
        return tuple(self.actions)

    def _command(self, command: program.Command) -> bool:
        self._spend(command.at.line)
        if isinstance(command, program.Act):
            return self._act(command)
        for test, block in command.branches:
            if self._holds(test):
                return self.block(block)
        return True

    def _act(self, act: program.Act) -> bool:
        self.trace.append(Step(act.at.line, f"{act.verb.value} {act.value}".strip(), None))
        if act.verb is Verb.STOP:
            return False
        action = _action(act)
        # Section 2.10.3: the same action with the same argument is done once.
        if not any(replace(each, line=0) == replace(action, line=0) for each in self.actions):
            self._check_action(action)
            self.actions.append(action)
        if not act.copy:
            self.implicit_keep = False
        return True

    def _check_action(self, action: Action) -> None:
        asked = [*self.actions, action]
        if len(asked) > self.budget.actions:
            raise _Over(f"line {action.line}: more than {self.budget.actions} actions")
        if sum(isinstance(each, actions.Redirect) for each in asked) > self.budget.redirects:
            raise _Over(f"line {action.line}: more than {self.budget.redirects} redirects")
        # RFC 5429, section 2.4: who refuses a message has not taken it as well.
        if any(isinstance(each, actions.Reject) for each in asked):
            others = [each for each in asked if not isinstance(each, actions.Discard)]
            if len(others) > 1:
                raise _Over(f"line {action.line}: a refusal excludes other actions")

    def _holds(self, test: program.Test) -> bool:
        self._spend(test.at.line)
        match test:
            case program.Constant():
                return test.value
            case program.Not():
                return not self._holds(test.test)
            case program.Several():
                wanted = all if test.every else any
                return wanted(self._holds(each) for each in test.tests)
            case program.Exists():
                matched = all(self.message.has(each) for each in test.names)
                return self._note(test, f"exists {', '.join(test.names)}", matched)
            case program.Size():
                size = len(self.message.content)
                matched = size > test.limit if test.over else size < test.limit
                way = "over" if test.over else "under"
                return self._note(test, f"size {size} {way} {test.limit}", matched)
            case program.Compare():
                return self._compares(test)

    def _compares(self, test: program.Compare) -> bool:
        found = [each for name in test.names for each in self._values(test, name)]
        keys = [(key, _folded(key, test.fold_case)) for key in test.keys]
        for value in found:
            folded = _folded(value, test.fold_case)
            for key, folded_key in keys:
                self._spend(test.at.line)
                if _matches(test.match, folded, folded_key):
                    return self._note(test, _sentence(test, [value], [key]), True)
        return self._note(test, _sentence(test, found, test.keys), False)

    def _values(self, test: program.Compare, name: str) -> list[str]:
        if test.subject is Subject.HEADER:
            return self.message.header(name)
        if test.subject is Subject.ENVELOPE:
            return [_part(self.message.envelope[name.lower()], test.part)]
        return [_part(each, test.part) for each in self.message.addresses(name)]

    def _note(self, test: program.Test, text: str, matched: bool) -> bool:
        self.trace.append(Step(test.at.line, text, matched))
        return matched

    def _spend(self, line: int) -> None:
        self.steps += 1
        if self.steps > self.budget.steps:
            raise _Over(f"line {line}: more than {self.budget.steps} steps")
        if time.monotonic() - self.started > self.budget.seconds:
            raise _Over(f"line {line}: more than {self.budget.seconds:g} s")


def _action(act: program.Act) -> Action:
    line = act.at.line
    match act.verb:
        case Verb.FILEINTO:
            return actions.FileInto(act.value, line=line)
        case Verb.REDIRECT:
            return actions.Redirect(act.value, line=line)
        case Verb.REJECT | Verb.EREJECT:
            return actions.Reject(act.value, act.verb is Verb.EREJECT, line=line)
        case Verb.DISCARD:
            return actions.Discard(line=line)
    return actions.Keep(line=line)


def _matches(match: Match, value: str, key: str) -> bool:
    if match is Match.IS:
        return value == key
    return key in value if match is Match.CONTAINS else wildcard_match(value, key)


def _folded(text: str, fold_case: bool) -> str:
    """ASCII only: i;ascii-casemap leaves other letters alone (RFC 4790, section 9.2)."""
    return text.translate(_FOLD) if fold_case else text


def _part(address: str, part: Part) -> str:
    if part is Part.ALL:
        return address
    local, _, domain = address.rpartition("@")
    return domain if part is Part.DOMAIN else local


def _decoded(value: str) -> str:
    unfolded = "".join(value.splitlines()).strip()
    if "=?" not in unfolded:
        return unfolded
    try:
        return str(make_header(decode_header(unfolded)))
    except (HeaderParseError, LookupError, ValueError):
        return unfolded


def _sentence(test: program.Compare, values: Iterable[str], keys: Iterable[str]) -> str:
    shown = ", ".join(repr(each) for each in values)[:_SHOWN] or "nothing"
    wanted = ", ".join(repr(each) for each in keys)[:_SHOWN]
    return f"{test.subject.value} {', '.join(test.names)}: {shown} {test.match.value} {wanted}"
