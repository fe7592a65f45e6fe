"""A filter that lives in the URL, so that a list can be shared: the words, what they mean, and what
is wrong with them. What cannot be understood narrows nothing and is told."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar
from urllib.parse import urlencode

from django.http import QueryDict

from courierweb.console.fields import parse_duration

MAX_LENGTH = 320

Filter = TypeVar("Filter")


@dataclass(frozen=True, slots=True)
class FilterForm(Generic[Filter]):
    """What a person asked for: the words as typed, the filter they make, and what is wrong."""

    words: dict[str, str]
    filter: Filter
    errors: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """The words as a query string, empty ones left out."""
        return urlencode({name: word for name, word in self.words.items() if word})

    @property
    def active(self) -> bool:
        return any(self.words.values())


@dataclass(slots=True)
class Words:
    """The words of a query while they are read; a word that means nothing is emptied."""

    words: dict[str, str]
    errors: list[str] = field(default_factory=list)

    def duration(self, name: str) -> timedelta | None:
        """The word as a time span; None when it is empty or none, which is then told."""
        if not self.words[name]:
            return None
        try:
            return parse_duration(self.words[name])
        except ValueError as error:
            self.errors.append(f"{name.capitalize()}: {error}.")
            self.words[name] = ""
            return None

    def form(self, meaning: Filter) -> FilterForm[Filter]:
        return FilterForm(self.words, meaning, tuple(self.errors))


def read_words(data: QueryDict, names: Iterable[str]) -> Words:
    return Words(
        {name: data.get(name, "").replace("\0", "").strip()[:MAX_LENGTH] for name in names}
    )
