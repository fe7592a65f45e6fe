"""Folders (RFC 5228 section 4.1, RFC 5490): which names can be used, and which are there."""

from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Run, Test

MAX_OCTETS = 255


def folder_problem(name: str) -> str:
    """Why the folder cannot be used, "" when it can."""
    if not name:
        return "a folder needs a name"
    if len(name.encode("utf-8", "replace")) > MAX_OCTETS:
        return f"the name of a folder has at most {MAX_OCTETS} octets"
    if not name.isprintable():
        return f"{name[:40]!r} is no name of a folder: it has control characters"
    if any(level in ("", ".", "..") for level in name.split("/")):
        return f"{name[:40]!r} is no name of a folder: a level of it is empty"
    return ""


def mailboxexists(run: Run, call: Call) -> bool:
    names = run.texts(call.texts(0))
    there = run.surroundings.has_mailbox
    missing = [each for each in names if folder_problem(each) or not there(each)]
    if missing:
        return run.note(call, f"there is no folder {', '.join(missing)}", False)
    return run.note(call, f"there is a folder {' and '.join(names)}", True)


TESTS: dict[str, Test] = {"mailboxexists": mailboxexists}
