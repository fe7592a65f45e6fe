"""duplicate (RFC 7352): has the mailbox had this message before?

The caller remembers the keys once the message is delivered, so that a delivery that fails and is
tried again is no duplicate of itself.
"""

import hashlib

from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Run, Test, shown

_DAY = 24 * 60 * 60
DEFAULT_SECONDS = 7 * _DAY
MAX_SECONDS = 90 * _DAY


def duplicate(run: Run, call: Call) -> bool:
    identity = _identity(run, call)
    if not identity:
        return run.note(call, "duplicate: there is nothing to know the message by", False)
    key = _key(run.option(call, "handle"), call.option("identity") == "uniqueid", identity)
    seconds = min(call.option_number("seconds", DEFAULT_SECONDS), MAX_SECONDS)
    found = run.surroundings.has_seen(key)
    # Section 3.1: with :last the time begins anew with each duplicate.
    if not found or call.has("last"):
        run.seen[key] = max(seconds, run.seen.get(key, 0))
    said = "was seen before" if found else "is new"
    return run.note(call, f"duplicate: {shown([identity])} {said}", found)


def _identity(run: Run, call: Call) -> str:
    if call.option("identity") == "uniqueid":
        return run.option(call, "identity")
    name = run.option(call, "identity") or "message-id"
    values = run.message.header(name)
    return values[0] if values else ""


def _key(handle: str, chosen: bool, identity: str) -> str:
    """Of one length, whatever the message says; the handle keeps tests apart (section 3.1)."""
    parts = (handle, "uniqueid" if chosen else "header", identity)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


TESTS: dict[str, Test] = {"duplicate": duplicate}
