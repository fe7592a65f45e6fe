"""What can be wrong with the content of a message, and a collector that keeps the list short."""

from dataclasses import dataclass

from mta.protocol import status

# More would fill the reply without helping anybody.
MAX_PROBLEMS = 20
UNKNOWN_ENCODING = "5.6.1"
_MAX_QUOTED = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `part` is "" for the message itself, else the number of the part ("2" is the second part,
    "2.1" the first one inside of it). `text` is one line of printable ASCII; `code` an enhanced
    status of class 5.
    """

    part: str
    text: str
    code: str = status.BAD_CONTENT

    def __str__(self) -> str:
        return f"part {self.part}: {self.text}" if self.part else self.text


class Problems:
    """Collects problems, each once, up to MAX_PROBLEMS and then a last one that says so."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    @property
    def full(self) -> bool:
        return len(self._found) > MAX_PROBLEMS

    def add(self, part: str, text: str, code: str = status.BAD_CONTENT) -> None:
        if len(self._found) < MAX_PROBLEMS:
            self._found[Problem(part, text, code)] = None
        elif not self.full and Problem(part, text, code) not in self._found:
            self._found[Problem("", "and more")] = None

    def all(self) -> tuple[Problem, ...]:
        return tuple(self._found)


def quoted(text: bytes) -> str:
    """Foreign octets for a problem's text: printable ASCII, and not too many of them."""
    return ascii(text[:_MAX_QUOTED].decode("utf-8", "replace"))[1:-1]
