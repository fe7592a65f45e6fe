"""Rows of site filters: whether one can work, and options as people write them.

The kind of a row says what it may hold, so the model alone cannot tell. The console's form, the
command `filter` and the check of the whole list use this.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from mta.filters.base import Kind, Option, Trouble
from mta.filters.registry import kinds
from mta.models import SiteFilter

_SWITCH = {
    **dict.fromkeys(("yes", "on", "true", "1"), True),
    **dict.fromkeys(("no", "off", "false", "0"), False),
}


def check(row: SiteFilter) -> None:
    """Raises ValidationError, by field, when the row cannot work.

    A row whose kind is gone may still be switched off.
    """
    try:
        kind = kinds.find(row.kind)
    except Trouble as trouble:
        if row.state == SiteFilter.State.OFF:
            return
        raise ValidationError({"kind": str(trouble)}) from trouble
    terms = row.facts()
    if terms.stage not in kind.stages:
        stages = ", ".join(sorted(stage.value for stage in kind.stages))
        raise ValidationError({"stage": f"{kind.label} is asked at: {stages}"})
    if not terms.sources:
        raise ValidationError({"esmtp": "it is asked about no mail at all: choose where from"})
    if row.text.strip() and not kind.has_text:
        raise ValidationError({"text": f"{kind.label} has no text"})
    try:
        kind.check(terms)
    except ValueError as error:
        field = "text" if kind.has_text and not row.options else "options"
        raise ValidationError({field: str(error)}) from error


def problems(rows: Iterable[SiteFilter]) -> list[tuple[SiteFilter, str]]:
    """The rows that cannot work, each with a sentence."""
    found = []
    for row in rows:
        try:
            row.full_clean()
            check(row)
        except ValidationError as error:
            found.append((row, " ".join(error.messages)))
    return found


def options_from(kind: Kind, words: Sequence[str]) -> dict[str, Any]:
    """Options typed as NAME=VALUE; a list is several of one name. Raises ValueError."""
    known = {option.name: option for option in kind.options}
    given: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise ValueError(f"{word!r} is not one of {_shapes(kind.options)}")
        given.setdefault(name, []).append(value)
    return {name: _value(known[name], values) for name, values in given.items()}


def _value(option: Option, values: list[str]) -> Any:
    if option.type is list:
        return [value for value in values if value]
    text = values[-1]
    if option.type is bool:
        if text.lower() not in _SWITCH:
            raise ValueError(f"{option.name} is yes or no")
        return _SWITCH[text.lower()]
    try:
        return option.type(text)
    except ValueError as error:
        raise ValueError(f"{option.name}: {text!r} is not a number") from error


def _shapes(options: Sequence[Option]) -> str:
    shapes = [f"{option.name}=..." for option in options]
    return ", ".join(shapes) or "the options of this kind, which has none"
