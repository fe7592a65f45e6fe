"""`.forward` files turned into delivery instructions. Pure, for step 6; facts: spec 3.9, A13.

A sendmail user's file names addresses, files and commands. Who names himself keeps a copy; an
address that the message has been at already is left out, which breaks loops.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from mta.protocol.aliases_file import Kind, Member, split_members

MAX_INCLUDE_DEPTH = 10

_VERBATIM = ("|", "/", ".")
_INCLUDE = ":include:"


class IncludeError(ValueError):
    """An included list that cannot be read, or lists that include each other too deeply."""


@dataclass(slots=True)
class Forwarding:
    """The `instructions` a file stands for. With `keeps_copy` the default delivery follows them;
    otherwise they are all that is done."""

    instructions: list[str] = field(default_factory=list)
    keeps_copy: bool = False


def translate(
    text: str, own: str, visited: Collection[str], read: Callable[[str], str]
) -> Forwarding:
    """The meaning of the file for the recipient `own`, a whole address.

    `visited` are the addresses in the message's Delivered-To fields, in lower case. `read(path)`
    gives the text of an included list or raises OSError. Raises IncludeError.
    """
    translation = _Translation(own.lower(), visited, read)
    translation.add(text, depth=0)
    return translation.result


class _Translation:
    def __init__(self, own: str, visited: Collection[str], read: Callable[[str], str]) -> None:
        self.result = Forwarding()
        self._own = own
        self._visited = visited
        self._read = read

    def add(self, text: str, depth: int) -> None:
        for line in (each.strip() for each in text.splitlines()):
            if line.lower().startswith(_INCLUDE):
                self._include(line[len(_INCLUDE) :].strip(), depth)
            elif line.startswith(_VERBATIM):
                self.result.instructions.append(line)
            elif line and not line.startswith("#"):
                self._add_list(split_members(line), depth)

    def _add_list(self, members: list[Member], depth: int) -> None:
        addresses: list[str] = []
        for member in members:
            bare = _unquoted(member.text)
            if member.kind is Kind.INCLUDE:
                self._include(member.text, depth)
            elif member.kind is not Kind.ADDRESS:
                self.result.instructions.append(member.text)
            elif bare != member.text and bare.startswith(_VERBATIM):
                self.result.instructions.append(bare)
            else:
                addresses += self._wanted(member.text)
        if addresses:
            self.result.instructions.append(f"!{', '.join(addresses)}")

    def _wanted(self, address: str) -> Iterator[str]:
        """The address, unless it is the recipient's own or one that had the message before."""
        domain = self._own.rpartition("@")[2]
        whole = (address if "@" in address else f"{address}@{domain}").lower()
        if whole == self._own:
            self.result.keeps_copy = True
        elif whole not in self._visited:
            yield address

    def _include(self, path: str, depth: int) -> None:
        if depth == MAX_INCLUDE_DEPTH:
            raise IncludeError(f"{path}: lists include each other too deeply")
        try:
            text = self._read(path)
        except (OSError, UnicodeDecodeError) as error:
            raise IncludeError(f"{path}: the list cannot be read") from error
        self.add(text, depth + 1)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text
