"""Members of an alias that are programs or files, among its addresses.

"|command" runs a command, "/path" is a file or a Maildir (spec 3.6). Who is delivered to by them
is the alias itself, under its own address, or under a name that only this host can give when a
mailbox or a user has that address, too.
"""

import re
from collections.abc import Iterable

# What the next hop of such a recipient begins with, before the alias's name.
HOP = "alias:"

# Nobody's local part begins with a dot (Courier's ".xalias/", spec 3.6).
_APART = ".xalias/"

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadMember(ValueError):
    """What can be no program and no file; the message says why."""


def is_instruction(member: str) -> bool:
    """Whether a member is a program or a file, and no address."""
    return member.startswith("|") or (member.startswith("/") and "@" not in member)


def bare(text: str) -> str:
    """A member without the quotes that hold the blanks and commas of a command together."""
    text = text.strip()
    match = _QUOTED.fullmatch(text)
    if match is None:
        return text
    inner = re.sub(r"\\(.)", r"\1", match.group(1)).strip()
    return inner if is_instruction(inner) else text


def parse(member: str) -> str:
    """A program or a file in stored form, one line. Raises BadMember."""
    text = bare(member)
    if _CONTROL.search(text):
        raise BadMember("a control character in a program or a file")
    if text.endswith("\\"):
        raise BadMember("a backslash at the end would join another line")
    if not text.strip("|/ "):
        what = "command" if text.startswith("|") else "path"
        raise BadMember(f"a {what} is expected behind {text.strip()[:1]}")
    return text


def instructions_among(members: Iterable[str]) -> tuple[str, ...]:
    return tuple(member for member in members if is_instruction(member))


def apart(name: str) -> str:
    """The address of an alias's programs beside a mailbox that has its name."""
    return _APART + name


def alias_apart(address: str) -> str:
    """The alias whose programs have that address, "" when it is no such address."""
    return address[len(_APART) :] if address.startswith(_APART) else ""
