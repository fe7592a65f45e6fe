"""Site filter: a command of the administrator, run for each message, sender, recipient or client.

No shell reads its arguments. The message is its standard input, the session and the envelope are in
its environment, never in its arguments, and it runs as an account that is not root. It ends with

    0       the mail passes, the next filter is asked
    99      the mail passes, no further filter is asked
    65, 77  refused; what it printed is the text, which may begin with a code: "451 come again"

Anything else (75, a signal, no end in time) is trouble: the row says whether mail then waits.
"""

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mta.filters.base import Option, Trouble
from mta.protocol import exit_status
from mta.protocol.reply import refusal
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)
from mta.transports.delivery_command import Account, Ended, NotPermittedError, account, run_limited

REFUSALS = (65, 77)
# So many commands run at once in one process; the others wait within their time.
AT_ONCE = 32
MAX_ARGUMENTS = 100
# The kernel takes no more than twice this in one variable.
MOST_RECIPIENTS = 64 * 1024
MIB = 1 << 20

_threads = ThreadPoolExecutor(AT_ONCE, "command")


class Command:
    """A program on this host reads the message, and its exit status decides."""

    name = "command"
    label = "Command"
    stages = frozenset(FilterStage)
    has_text = False
    options = (
        Option("argv", "Command", [], "the absolute path, then its arguments, one a line"),
        Option("user", "Runs as", "nobody", "an account of the system; never root"),
        Option("memory", "Memory", 0, "MiB; 0 for no limit"),
        Option("cpu", "Processor time", 0, "seconds; 0 for as long as it may run"),
        Option("crlf", "CRLF line ends", False, "else the message has LF line ends"),
    )

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError."""
        values = self._values(terms)
        _check_types(self.options, terms.options)
        argv = values["argv"]
        if not argv or not all(isinstance(word, str) and "\0" not in word for word in argv):
            raise ValueError("argv: the command and its arguments, one a line")
        if not argv[0].startswith("/"):
            raise ValueError("argv: the first line is the command by its absolute path")
        if len(argv) > MAX_ARGUMENTS:
            raise ValueError(f"argv: more than {MAX_ARGUMENTS} arguments")
        owner = account(values["user"])
        if owner is None:
            raise ValueError(f"user: there is no system account {values['user']!r} on this host")
        if owner.uid == 0:
            raise ValueError("user: nothing that mail starts may run as root")
        if values["memory"] and values["memory"] < 16:
            raise ValueError("memory: no program runs in less than 16 MiB")
        if values["memory"] < 0 or values["cpu"] < 0:
            raise ValueError("a limit is not negative")

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        values = self._values(terms)
        owner = account(values["user"])
        if owner is None:
            raise Trouble(f"there is no system account {values['user']!r}")
        loop = asyncio.get_running_loop()
        ended = await loop.run_in_executor(
            _threads, functools.partial(_run, request, terms, values, owner)
        )
        return _verdict(ended)

    def _values(self, terms: FilterTerms) -> dict[str, Any]:
        return {option.name: option.default for option in self.options} | dict(terms.options)


def _check_types(options: tuple[Option, ...], given: Mapping[str, object]) -> None:
    known = {option.name: option.type for option in options}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"there is no option {name}")
        if type(value) is not known[name]:
            raise ValueError(f"{name}: to be of the type {known[name].__name__}")


def _run(
    request: FilterRequest, terms: FilterTerms, values: Mapping[str, Any], owner: Account
) -> Ended:
    """Raises Trouble."""
    content = request.content or b""
    stdin = content if values["crlf"] else content.replace(b"\r\n", b"\n")
    try:
        return run_limited(
            values["argv"],
            owner,
            variables(request),
            stdin,
            terms.timeout,
            values["cpu"],
            values["memory"] * MIB,
        )
    except NotPermittedError as error:
        raise Trouble(str(error)) from error
    except OSError as error:
        raise Trouble(f"the command cannot be started: {error.strerror}") from error


def _verdict(ended: Ended) -> FilterVerdict:
    said = _printable(ended.output)
    if ended.code is None:
        raise Trouble(_with("the command did not end in time", said))
    if ended.code < 0:
        raise Trouble(_with(f"the command was ended by signal {-ended.code}", said))
    if ended.code == 0:
        return FilterVerdict(detail=said)
    if ended.code == exit_status.STOP:
        return FilterVerdict(FilterAction.ACCEPT, detail=said)
    if ended.code in REFUSALS:
        return FilterVerdict(FilterAction.REFUSE, refusal(said), f"exit status {ended.code}")
    raise Trouble(_with(f"the command ended with code {ended.code}", said))


def variables(request: FilterRequest) -> dict[str, str]:
    """The environment of the command: what the session has said up to here, as it said it.

    SENDER is not there before MAIL. RECIPIENTS has one a line, as many as there is room for;
    RECIPIENT is the last of them.
    """
    told = {
        "STAGE": request.stage.value,
        "SOURCE": request.source.value,
        "MAILHOST": request.hostname,
        "CLIENT_IP": request.client_ip,
        "HELO": request.helo,
        "LISTENER": request.listener,
        "AUTH_USER": request.auth_user,
        "TLS": request.tls,
        "QUEUE_ID": request.queue_id,
        "LOCAL_UID": "" if request.uid is None else str(request.uid),
        "RECIPIENT_COUNT": str(len(request.recipients)),
        "RECIPIENT": request.recipients[-1] if request.recipients else "",
        "RECIPIENTS": _fitting(request.recipients),
    }
    if request.reverse_path is not None:
        told["SENDER"] = request.reverse_path
    return {name: value.replace("\0", "") for name, value in told.items()}


def _fitting(recipients: tuple[str, ...]) -> str:
    whole = "\n".join(recipients)
    if len(whole) <= MOST_RECIPIENTS:
        return whole
    return whole[:MOST_RECIPIENTS].rpartition("\n")[0]


def _with(text: str, said: str) -> str:
    return f"{text}: {said}" if said else text


def _printable(output: bytes) -> str:
    """Without what would do something to a terminal; its lines stay lines."""
    lines = [" ".join(line.split()) for line in output.decode("utf-8", "replace").splitlines()]
    text = "\n".join(line for line in lines if line)
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
