"""What a rule of a script is called: the comment "# rule:[NAME]" before it, as Sieve clients write
it, or the line."""

import re
from bisect import bisect_right

_COMMENT = re.compile(r"^[ \t]*#[ \t]*rule:\[([^\r\n]*)\][ \t]*$", re.MULTILINE)
_MAX_NAME = 200


class RuleNames:
    """The rules of one script by the lines of their commands."""

    def __init__(self, text: str) -> None:
        found = [
            (text.count("\n", 0, each.start()) + 1, each[1]) for each in _COMMENT.finditer(text)
        ]
        self._lines = [line for line, _ in found]
        self._names = [name.strip()[:_MAX_NAME] for _, name in found]

    def at(self, line: int) -> str:
        """The rule that the command in that line belongs to."""
        place = bisect_right(self._lines, line) - 1
        name = self._names[place] if place >= 0 else ""
        return name or f"line {line}"
