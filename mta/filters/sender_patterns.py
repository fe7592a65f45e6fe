"""Lists of senders in the options of filters: "ann@example.com", "@example.com", "*@*.example"."""

from collections.abc import Iterable, Sequence

from mta.filters.sieve.wildcards import TooCostly, wildcard_match

MAX_PATTERN = 320
_MAX_NAME = 1000


def check(option: str, patterns: Iterable[str]) -> None:
    """Raises ValueError for one that cannot be meant, with the name of the option."""
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN or any(char.isspace() for char in pattern):
            raise ValueError(
                f"{option}: {pattern[:60]!r} is neither an address nor @domain nor a name"
            )


def matching(patterns: Sequence[str], *names: str | None) -> str:
    """The first pattern that one of these addresses or names matches, "" when none does."""
    for pattern in patterns:
        glob = pattern.casefold()
        glob = f"*{glob}" if glob.startswith("@") else glob
        if any(name and _matches(name[:_MAX_NAME].casefold(), glob) for name in names):
            return pattern
    return ""


def _matches(name: str, glob: str) -> bool:
    try:
        return wildcard_match(name, glob)
    except TooCostly:
        return False
