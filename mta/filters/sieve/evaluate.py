"""Evaluate: a program over one message gives actions in order and a trace (RFC 5228)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from mta.filters.sieve import (
    actions,
    body,
    core,
    dates,
    edit,
    environment,
    flags,
    folders,
    includes,
    notices,
    repeats,
    vacations,
    variables,
)
from mta.filters.sieve.actions import Action
from mta.filters.sieve.message import Message
from mta.filters.sieve.program import Program
from mta.filters.sieve.run import Do, Frame, Over, Run, Step, Stopped, Test
from mta.filters.sieve.surroundings import Budget, Surroundings

__all__ = ["Budget", "Message", "Result", "Step", "Surroundings", "evaluate"]

logger = logging.getLogger(__name__)

COMMANDS: Mapping[str, Do] = {
    **core.COMMANDS,
    **variables.COMMANDS,
    **flags.COMMANDS,
    **vacations.COMMANDS,
    **edit.COMMANDS,
    **includes.COMMANDS,
    **notices.COMMANDS,
}
TESTS: Mapping[str, Test] = {
    **core.TESTS,
    **variables.TESTS,
    **flags.TESTS,
    **folders.TESTS,
    **dates.TESTS,
    **body.TESTS,
    **environment.TESTS,
    **repeats.TESTS,
    **notices.TESTS,
}


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
    script: Program,
    message: Message,
    surroundings: Surroundings | None = None,
    budget: Budget | None = None,
) -> Result:
    """Never raises: a script that fails keeps the message, and does nothing else."""
    run = Run(message, surroundings or Surroundings(), budget or Budget(), COMMANDS, TESTS)
    try:
        _run_to_its_end(run, script)
        content = run.message.joined() if run.message is not run.original else None
        return Result(run.settled(), tuple(run.trace), "", content, tuple(run.seen.items()))
    except Over as over:
        error = str(over)
    except Exception:
        logger.exception("a Sieve script failed")
        error = "the script could not be evaluated"
    return Result((actions.Keep(),), tuple(run.trace), error)


def _run_to_its_end(run: Run, script: Program) -> None:
    try:
        run.script(Frame(script))
    except Stopped:
        pass
