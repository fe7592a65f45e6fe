"""`:matches` (RFC 5228, section 2.7.1), in time that a pattern cannot drive up.

A key is cut at its stars. Each piece is looked for behind the one before, as early as it can be:
trying an earlier star again would gain nothing, and the stars stand for as little as possible
(RFC 5229, section 3.2).
"""

import re
from dataclasses import dataclass

# Characters that are compared one by one, which is only done for pieces with question marks.
MAX_STEPS = 1_000_000

_TOKEN = re.compile(r"\\([\s\S])|([*?])|([\s\S])")


class TooCostly(Exception):
    """The comparison was given up."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two stars. `literal` is None when there is a question mark in it.

    Then `letters` has "" for each, and `anchor` is the longest run of letters, at `anchor_at`.
    """

    size: int
    letters: tuple[str, ...]
    literal: str | None
    anchor: str
    anchor_at: int


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A key ready to be compared."""

    pieces: tuple[_Piece, ...]

    def spans(self, value: str) -> list[Span] | None:
        """Where each "*" and "?" is in the value, in their order; None without a match.

        Raises TooCostly.
        """
        return _Search(value).run(self.pieces)


def wildcard(key: str) -> Wildcard:
    pieces: list[list[str]] = [[]]
    for quoted, wild, plain in _TOKEN.findall(key):
        if wild == "*":
            pieces.append([])
        else:
            pieces[-1].append("" if wild else quoted or plain)
    return Wildcard(tuple(_piece(each) for each in pieces))


def wildcard_match(value: str, key: str) -> bool:
    """Raises TooCostly."""
    return wildcard(key).spans(value) is not None


def _piece(letters: list[str]) -> _Piece:
    if "" not in letters:
        literal = "".join(letters)
        return _Piece(len(letters), (), literal, literal, 0)
    anchor, anchor_at, start = "", 0, 0
    for run in "".join(each or "\0" for each in letters).split("\0"):
        if len(run) > len(anchor):
            anchor, anchor_at = run, start
        start += len(run) + 1
    return _Piece(len(letters), tuple(letters), None, anchor, anchor_at)


class _Search:
    def __init__(self, value: str) -> None:
        self._value = value
        self._steps = 0
        self._spans: list[Span] = []

    def run(self, pieces: tuple[_Piece, ...]) -> list[Span] | None:
        value = self._value
        first, *others = pieces
        if not self._stands(first, 0):
            return None
        self._note(first, 0)
        position = first.size
        if not others:
            return self._spans if position == len(value) else None
        for piece in others[:-1]:
            found = self._find(piece, position)
            if found < 0:
                return None
            self._spans.append((position, found))
            self._note(piece, found)
            position = found + piece.size
        last = others[-1]
        start = len(value) - last.size
        if start < position or not self._stands(last, start):
            return None
        self._spans.append((position, start))
        self._note(last, start)
        return self._spans

    def _note(self, piece: _Piece, start: int) -> None:
        if piece.literal is None:
            letters = enumerate(piece.letters, start)
            self._spans.extend((at, at + 1) for at, letter in letters if not letter)

    def _stands(self, piece: _Piece, start: int) -> bool:
        if piece.literal is not None:
            return self._value.startswith(piece.literal, start)
        if start + piece.size > len(self._value):
            return False
        self._steps += piece.size
        if self._steps > MAX_STEPS:
            raise TooCostly("a comparison with :matches took too many steps")
        found = self._value[start : start + piece.size]
        return all(not one or one == other for one, other in zip(piece.letters, found, strict=True))

    def _find(self, piece: _Piece, position: int) -> int:
        if piece.literal is not None:
            return self._value.find(piece.literal, position)
        while position + piece.size <= len(self._value):
            anchor = self._value.find(piece.anchor, position + piece.anchor_at)
            if anchor < 0:
                return -1
            position = anchor - piece.anchor_at
            if self._stands(piece, position):
                return position
            position += 1
        return -1
