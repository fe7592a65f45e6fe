"""The options of a filter's row as its kind reads them: given, or the kind's default.

What is wrong begins with the name of the option, by which a form finds the field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mta.filters.base import Option


class OptionValues:
    """Each method raises ValueError with a sentence when what was given has another type."""

    def __init__(self, declared: Sequence[Option], given: Mapping[str, Any]) -> None:
        self._declared = {option.name: option for option in declared}
        self._given = given

    def check_names(self) -> None:
        unknown = sorted(set(self._given) - set(self._declared))
        if unknown:
            raise ValueError(f"there is no option {', '.join(unknown)}")

    def flag(self, name: str) -> bool:
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "yes or no")
        return value

    def number(self, name: str, least: float = 0.0, most: float = float("inf")) -> float:
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "a number")
        if not least <= value <= most:
            bound = f"at least {least:g}" if value < least else f"at most {most:g}"
            raise self._wrong(name, bound)
        return value

    def integer(self, name: str, least: int = 0, most: int = 2**31 - 1) -> int:
        value = self.number(name, least, most)
        if value != int(value):
            raise self._wrong(name, "a whole number")
        return int(value)

    def text(self, name: str) -> str:
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def word(self, name: str, *known: str) -> str:
        value = self.text(name).strip()
        if value not in known:
            raise self._wrong(name, f"one of {', '.join(known)}")
        return value

    def lines(self, name: str) -> list[str]:
        """Without empty ones."""
        value = self._value(name)
        if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
            raise self._wrong(name, "a list of texts")
        return [line.strip() for line in value if line.strip()]

    def _value(self, name: str) -> Any:
        return self._given.get(name, self._declared[name].default)

    def _wrong(self, name: str, expected: str) -> ValueError:
        return ValueError(f"{name}: {expected} is expected")
