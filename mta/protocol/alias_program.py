"""Members of an alias that are programs or files, among its addresses.

"|command" runs a command, "/path" is a file or a Maildir (spec 3.6). Who is delivered to by them
is the alias itself, under its own address, or under a name that only this host can give when a
mailbox or a user has that address, too.
"""

from collections.abc import Iterable

from mta.protocol import instructions

# What the next hop of such a recipient begins with, before the alias's name.
HOP = "alias:"

# Nobody's local part begins with a dot (Courier calls these ".xalias/", spec 3.6).
_APART = ".xalias/"


def is_instruction(member: str) -> bool:
    """Whether a member is a program or a file, and no address."""
    return member.startswith("|") or (member.startswith("/") and "@" not in member)


def parse(member: str) -> str:
    """A program or a file in stored form. Raises InstructionError."""
    text = member.strip()
    if any(ord(char) < ord(" ") for char in text):
        raise instructions.InstructionError("a control character in the member of an alias")
    if text.endswith("\\"):
        raise instructions.InstructionError("a member of an alias cannot go on in another line")
    instructions.parse(text, "localhost")
    return text


def instructions_among(members: Iterable[str]) -> tuple[str, ...]:
    return tuple(member for member in members if is_instruction(member))


def apart(name: str) -> str:
    """The address of an alias's programs beside a mailbox that has its name."""
    return _APART + name


def alias_apart(address: str) -> str:
    """The alias whose programs have that address, "" when it is no such address."""
    return address[len(_APART) :] if address.startswith(_APART) else ""
