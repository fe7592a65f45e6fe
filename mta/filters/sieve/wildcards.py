"""`:matches` (RFC 5228, section 2.7.1), in time of at most value times key, whatever they are."""

import re

# About a quarter of a second; no pattern that a person has written comes near it.
MAX_STEPS = 1_000_000

_TOKEN = re.compile(r"\\([\s\S])|([*?])|([\s\S])")


class TooCostly(Exception):
    """The comparison was given up."""


def wildcard_match(value: str, key: str) -> bool:
    """Only the last star is tried again; an earlier one gains nothing. Raises TooCostly."""
    tokens = [(wild or "", quoted or plain or "") for quoted, wild, plain in _TOKEN.findall(key)]
    at = star = resume = 0
    starred = False
    position = steps = 0
    while position < len(value):
        steps += 1
        if steps > MAX_STEPS:
            raise TooCostly("a comparison with :matches took too many steps")
        wild, letter = tokens[at] if at < len(tokens) else ("", "")
        if wild == "*":
            starred, star, resume = True, at, position
            at += 1
        elif wild == "?" or letter == value[position]:
            at, position = at + 1, position + 1
        elif starred:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return all(wild == "*" for wild, _ in tokens[at:])
