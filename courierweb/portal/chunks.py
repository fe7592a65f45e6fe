"""A Sieve text cut into its top-level commands with what stands around them; nothing is lost.

`syntax.parse` says what a command means; this says which octets of the text are its own, so that
a command that nobody has changed stays as its author wrote it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# RFC 5228, section 8.1; what is none of these is one character on its own.
_TOKEN = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<comment>\#[^\n]*|/\*.*?\*/)
  | (?P<string>text:[ \t]*(?:\#[^\n]*)?\r?\n(?:[^\n]*\n)*?\.\r?(?:\n|\Z)|"(?:[^"\\]|\\.)*")
  | (?P<word>[A-Za-z_]\w*)
  | (?P<other>.)
    """,
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_REST_OF_LINE = re.compile(r"[ \t]*(?:\#[^\n]*)?(?:\r?\n|\Z)")
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """`name` of the command, the blanks and comments before it, its text, the rest of its line."""

    name: str
    before: str
    body: str
    after: str
    has_comment: bool

    @property
    def text(self) -> str:
        return self.before + self.body + self.after


def cut(text: str) -> tuple[list[Chunk], str]:
    """The chunks of a text that `syntax.parse` takes, an `if` with all its branches as one, and
    the blanks and comments after the last."""
    chunks: list[Chunk] = []
    position = 0
    while (found := _command(text, position)) is not None:
        chunk, position = found
        if chunk.name in ("elsif", "else") and chunks:
            chunk = _joined(chunks.pop(), chunk)
        chunks.append(chunk)
    return chunks, text[position:]


def has_comment(text: str) -> bool:
    return any(kind == "comment" for kind, _, _ in _tokens(text, 0))


def _command(text: str, position: int) -> tuple[Chunk, int] | None:
    """The command that begins there or later, and where its line ends."""
    start, name, depth = -1, "", 0
    comment = False
    for kind, token, end in _tokens(text, position):
        if start < 0:
            if kind in ("blank", "comment"):
                continue
            start, name = end - len(token), token.lower()
        comment = comment or kind == "comment"
        if kind != "other":
            continue
        depth += (token in _OPEN) - (token in _CLOSE)
        if depth == 0 and token in ";}":
            rest = _REST_OF_LINE.match(text, end)
            after = rest.group() if rest else ""
            chunk = Chunk(name, text[position:start], text[start:end], after, comment)
            return chunk, end + len(after)
    return None


def _joined(first: Chunk, branch: Chunk) -> Chunk:
    between = first.after + branch.before
    body = first.body + between + branch.body
    comment = first.has_comment or branch.has_comment or has_comment(between)
    return Chunk(first.name, first.before, body, branch.after, comment)


def _tokens(text: str, position: int) -> Iterator[tuple[str, str, int]]:
    """Kind, text and end of each token."""
    for match in _TOKEN.finditer(text, position):
        yield str(match.lastgroup), match.group(), match.end()
