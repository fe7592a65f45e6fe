"""A message that UUCP brings from another host by `rmail` (RFC 976, spec 9.2).

Who brings it says himself who sends it, and from here it may go anywhere: only the account that
UUCP's programs run as is believed. `submitd` calls it for who is at its socket (`deploy/rmail`).
"""

import secrets
from collections.abc import Sequence

from django.utils import timezone

from mta import runtime
from mta.management.local_mail import (
    EX_NOPERM,
    Caller,
    Readable,
    Result,
    answered,
    read_message,
)
from mta.management.sendmail_options import Options, UsageError, parse_options
from mta.models import Settings
from mta.protocol import headers, status, uucp_headers
from mta.protocol.bang_path import BadPath, Neighbourhood
from mta.protocol.envelope import Source
from mta.protocol.rmail import take_from_lines
from mta.protocol.submission import Draft, SubmissionError, build
from mta.protocol.uux import NOBODY

ACCOUNTS = ("uucp", "root")
OPTIONS = frozenset({"-f", "-N", "-R", "-V", "-o", "-t", "-verp"})


def take_rmail(arguments: Sequence[str], caller: Caller, content: Readable) -> Result:
    """Queue what the stream holds, or say why not. Never raises for what a caller may do wrong."""
    if caller.account not in ACCOUNTS:
        return Result(EX_NOPERM, complaint="rmail is for the account uucp only")
    if not caller.variables.get("UU_MACHINE"):
        return Result(EX_NOPERM, complaint="UU_MACHINE does not say which host the message is from")
    return answered(lambda: _take(arguments, caller, content))


def _take(arguments: Sequence[str], caller: Caller, content: Readable) -> str:
    options = parse_options(arguments, OPTIONS)
    if not options.recipients:
        raise UsageError("rmail needs recipients")
    limit = Settings.load().sizelimit
    told, message = take_from_lines(read_message(content, limit))
    runtime.directory().refresh()
    try:
        draft = _draft(options, caller, told, message, runtime.directory().uucp)
    except BadPath as error:
        raise SubmissionError(553, status.BAD_ADDRESS_SYNTAX, str(error)) from error
    envelope, whole = build(draft)
    if runtime.directory().settings.uucprewriteheaders:
        whole = uucp_headers.inward(whole, runtime.directory().uucp)
    # Hosts that send mail round in a circle are as easily found in UUCP as elsewhere.
    if headers.scan(whole).hops > runtime.directory().settings.maxhops:
        raise SubmissionError(554, status.ROUTING_LOOP, "too many hops, this is a mail loop")
    runtime.enqueue(envelope, whole, uid=caller.uid)
    return ""


def _draft(
    options: Options, caller: Caller, told: str, content: bytes, town: Neighbourhood
) -> Draft:
    """Raises BadPath."""
    machine = caller.variables["UU_MACHINE"]
    path = told if options.sender is None else options.sender
    if options.sender is None and not path:
        path = caller.variables.get("UU_USER") or ""
    if path and not {"!", "@"} & set(path):
        path = f"{machine}!{path}"
    reverse_path = town.sender(path)
    return Draft(
        content=content,
        hostname=runtime.hostname(),
        reverse_path=reverse_path,
        author=reverse_path or f"{NOBODY}@{runtime.hostname()}",
        at=timezone.now(),
        unique=secrets.token_hex(12),
        recipients=tuple(town.inside(each) for each in options.recipients),
        notify=options.notify,
        ret=options.ret,
        envid=options.envid,
        verp=options.verp,
        source=Source.UUCP,
        helo=machine,
    )
