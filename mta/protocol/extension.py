"""Addresses with an extension: "ann+lists" is a name of whoever is "ann" (RFC 5233).

Which characters separate is said for each domain: "+" as most do, "-" as qmail does, or none.
"""

from collections.abc import Iterator

SEPARATORS = "+-_=."

# Courier looks at no more separators than this; it also bounds what an address can cost (spec 3.8).
MAX_SEPARATORS = 3


def shorter(local: str, separators: str) -> Iterator[str]:
    """The names that a local part extends, the longest first: "a+b" and "a" for "a+b+c"."""
    places = [index for index, char in enumerate(local) if index and char in separators]
    for place in reversed(places[: MAX_SEPARATORS + 1]):
        yield local[:place]
