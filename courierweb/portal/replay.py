"""Job: what a draft would have done with the newest messages of a mailbox, beside the rules as
they are."""

from typing import Any

from courierweb.jobs.launch import report
from courierweb.portal import mail_files, trial
from courierweb.portal.mail_files import StoredMessage
from mta import runtime
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.program import Program
from mta.models import Mailbox

MESSAGES = 500
LISTED = 200
_TELL_EVERY = 50


def what_would_change(mailbox_id: int, now: str, draft: str) -> dict[str, Any]:
    """{"examined": n, "changed": n, "rows": [{"token", "subject", "sender", "at", "old", "new"}]}.

    `now` and `draft` are scripts. Raises SieveError when the draft does not compile.
    """
    mailbox = Mailbox.objects.select_related("domain").get(pk=mailbox_id)
    new, old = compile_script(draft), trial.compiled(now)
    messages = mail_files.recent(runtime.mail_root(), mailbox, MESSAGES)
    separators = runtime.directory().refresh().separators.get(mailbox.domain.name, "")
    rows: list[dict[str, Any]] = []
    changed = 0
    for number, stored in enumerate(messages, 1):
        row = _row(stored, old, new, separators)
        if row is not None:
            changed += 1
            rows += [row] if len(rows) < LISTED else []
        if number % _TELL_EVERY == 0:
            report(f"{number} of {len(messages)} messages looked at, {changed} would change")
    return {"examined": len(messages), "changed": changed, "rows": rows}


def _row(
    stored: StoredMessage, old: Program | None, new: Program, separators: str
) -> dict[str, Any] | None:
    """None when nothing changes for the message."""
    message = stored.message
    before = trial.run(old, message, stored.at, separators) if old else trial.INBOX
    after = trial.run(new, message, stored.at, separators)
    if before == after:
        return None
    return {
        "token": stored.token,
        "subject": stored.subject,
        "sender": stored.sender,
        "at": stored.at,
        "old": before,
        "new": after,
    }
