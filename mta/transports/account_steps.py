"""Carrying out the instructions for one recipient, one after the other (step 6, in the child).

Runs as the owner, in the home. What is done stands in the instructions only; addresses to forward
to are gathered, and told when everything else has succeeded. Facts: spec 3.8, 3.9.
"""

import os
import time
from pathlib import Path
from typing import NoReturn

from mta.protocol import dot_forward, exit_status, mbox, status
from mta.protocol.address import wire
from mta.protocol.exit_status import Effect
from mta.protocol.instructions import (
    MAX_DYNAMIC_DEPTH,
    MAX_DYNAMIC_OCTETS,
    Instruction,
    InstructionError,
    Kind,
    parse,
)
from mta.protocol.local_account import BadLocalPart
from mta.transports import account_home, account_mailbox
from mta.transports.account_agent import Surroundings, program
from mta.transports.account_home import NoInstructions, NotReadable
from mta.transports.account_job import Conversation, Job, Owner, Report
from mta.transports.account_mailbox import Letter, NoMaildir, OverQuota
from mta.transports.delivery_command import Account, Ended, run_program

_DOT_FORWARD = "dotforward"
_EX_DATAERR, _EX_NOUSER = 65, 67


class _Over(Exception):
    """Nothing further is done: the recipient has its report."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.text)
        self.report = report


class _Stop(Exception):
    """An instruction said that the rest is not wanted; the delivery has succeeded."""


def carry_out(job: Job, owner: Owner, message: int, transport: Conversation) -> Report:
    """What became of the job. `message` is a descriptor of the message with LF line ends; the
    `transport` is asked before the first step that must not be repeated without need.

    Raises ConnectionError when nobody waits for the report any more.
    """
    steps = _Steps(job, owner, message, transport)
    try:
        steps.run()
    except _Over as over:
        return over.report
    except (NotReadable, NoMaildir, InstructionError) as error:
        return Report(Effect.DEFER, "4.3.5", str(error))
    except OverQuota:
        return Report(Effect.DEFER, status.MAILBOX_FULL, "the Maildir is over its quota")
    except ConnectionError:
        raise
    except OSError as error:
        return Report(Effect.DEFER, status.LOCAL_ERROR, error.strerror or "local error")
    return Report(Effect.STOP, status.SUCCESS, steps.summary(), steps.forwards)


class _Steps:
    def __init__(self, job: Job, owner: Owner, message: int, transport: Conversation) -> None:
        self._job = job
        self._owner = Account(owner.name, owner.uid, owner.gid, owner.home)
        self._message = message
        self._transport = transport
        self._has_consent = False
        self._end = time.monotonic() + job.patience
        self._forwards: dict[str, None] = {}
        self._done: list[str] = []
        self._surroundings = Surroundings(job, "")

    @property
    def forwards(self) -> tuple[str, ...]:
        return tuple(self._forwards)

    def summary(self) -> str:
        """For the record; paths and commands are the owner's own business."""
        done = [*self._done]
        if self._forwards:
            count = len(self._forwards)
            done.append(f"forwarded to {count} address{'es' if count > 1 else ''}")
        return f"{self._owner.name}: {', '.join(done) or 'discarded as the instructions say'}"

    def run(self) -> None:
        account_home.enter(self._owner.home)
        try:
            self._carry_out(self._instructions(), depth=0)
        except _Stop:
            pass

    def _instructions(self) -> str:
        job = self._job
        if job.instructions is not None:
            return job.instructions
        try:
            found = account_home.find(job.extension, job.stem)
        except (NoInstructions, BadLocalPart):
            self._fail(_EX_NOUSER, "no such user here")
        if found is None:
            return job.default
        self._surroundings = Surroundings(job, found.default)
        # An empty file is no wish, a file of comments is one: nothing.
        return found.text or job.default

    def _carry_out(self, text: str, depth: int) -> None:
        for step in parse(text, self._job.host):
            match step.kind:
                case Kind.MAILBOX:
                    self._mailbox(step)
                case Kind.COMMAND:
                    self._command(step)
                case Kind.DYNAMIC:
                    self._dynamic(step, depth)
                case Kind.FORWARD:
                    self._forwards |= dict.fromkeys(step.addresses)

    # --- mailboxes ------------------------------------------------------------------------------

    def _mailbox(self, step: Instruction) -> None:
        if account_mailbox.is_maildir(step.text, is_directory=step.is_directory):
            account_mailbox.deliver(step.text, self._letter())
        else:
            self._ask()
            account_mailbox.append(step.text, self._letter())
        self._note("delivered")

    def _letter(self) -> Letter:
        job = self._job
        size = os.fstat(self._message).st_size
        return Letter(
            lines=self._surroundings.lines(),
            body=os.pread(self._message, size, 0),
            key=job.key,
            host=job.host,
            from_line=mbox.from_line(wire(job.reverse_path), job.at),
            repeated=job.repeated,
        )

    # --- commands -------------------------------------------------------------------------------

    def _command(self, step: Instruction) -> None:
        ended = self._execute(step.text)
        self._note("given to a command")
        self._judge(step, ended)

    def _dynamic(self, step: Instruction, depth: int) -> None:
        """A command that prints instructions, which are carried out before the next step."""
        if not self._job.dynamic:
            self._fail(_EX_NOUSER, "instructions that a command prints are not allowed here")
        if depth == MAX_DYNAMIC_DEPTH:
            self._fail(_EX_NOUSER, "commands with instructions call for each other too deeply")
        if step.text == _DOT_FORWARD:
            self._dot_forward(depth)
            return
        ended = self._execute(step.text, printed=MAX_DYNAMIC_OCTETS + 1)
        is_last = self._goes_on(step, ended) is Effect.STOP
        if len(ended.printed) > MAX_DYNAMIC_OCTETS:
            self._fail(_EX_DATAERR, f"line {step.line}: more than {MAX_DYNAMIC_OCTETS} octets")
        self._carry_out(ended.printed.decode("utf-8", "surrogateescape"), depth + 1)
        if is_last:
            raise _Stop

    def _dot_forward(self, depth: int) -> None:
        """The owner's .forward, if there is one (spec 3.9)."""
        text = account_home.read(".forward")
        if text is None:
            return
        try:
            meaning = dot_forward.translate(
                text, self._job.address, self._job.visited, _included_list
            )
        except dot_forward.IncludeError as error:
            self._fail(_EX_NOUSER, str(error))
        self._carry_out("\n".join(meaning.instructions), depth + 1)
        # A file that names nobody, or only those who had the message, must not make it vanish.
        if meaning.instructions and not meaning.keeps_copy:
            raise _Stop

    def _execute(self, command: str, printed: int = 0) -> Ended:
        left = self._end - time.monotonic()
        if left <= 0:
            self._out_of_time()
        self._ask()
        arguments, message = program(command, self._message, self._surroundings)
        with message as stdin:
            os.lseek(stdin.fileno(), 0, os.SEEK_SET)
            variables = self._surroundings.variables(self._owner)
            return run_program(
                arguments, self._owner, variables, stdin, left, printed, self._transport.fileno()
            )

    def _judge(self, step: Instruction, ended: Ended) -> None:
        if self._goes_on(step, ended) is Effect.STOP:
            raise _Stop

    def _goes_on(self, step: Instruction, ended: Ended) -> Effect:
        """CONTINUE or STOP; otherwise the recipient's report is made."""
        if ended.code is None:
            self._out_of_time()
        effect = exit_status.effect(ended.code)
        if effect not in (Effect.CONTINUE, Effect.STOP):
            said = ended.output.decode("utf-8", "replace").strip()
            how = f"code {ended.code}" if ended.code >= 0 else f"signal {-ended.code}"
            text = said or f"the command of line {step.line} ended with {how}"
            raise _Over(Report(effect, exit_status.enhanced_status(ended.code), text))
        return effect

    def _out_of_time(self) -> NoReturn:
        text = f"the commands took more than {self._job.patience:.0f} seconds"
        raise _Over(Report(Effect.DEFER, status.LOCAL_ERROR, text))

    def _fail(self, code: int, text: str) -> NoReturn:
        raise _Over(Report(Effect.FAIL, exit_status.enhanced_status(code), text))

    # --- the record -----------------------------------------------------------------------------

    def _ask(self) -> None:
        if not self._has_consent:
            self._transport.ask_for_consent()
            self._has_consent = True

    def _note(self, what: str) -> None:
        if what not in self._done:
            self._done.append(what)


def _included_list(path: str) -> str:
    """A list that a .forward includes. Raises OSError."""
    try:
        text = account_home.read(str(Path(path).expanduser()))
    except NotReadable as error:
        raise OSError(str(error)) from error
    if text is None:
        raise FileNotFoundError(path)
    return text
