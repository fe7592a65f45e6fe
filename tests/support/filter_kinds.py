"""Kinds of site filters that say what a test wants, in the place of a foreign package's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mta.filters import registry
from mta.filters.base import Option
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)

Judge = Callable[[FilterRequest, FilterTerms], Any]


class Told:
    """Says what its function gives for a request; keeps the requests."""

    label = "A test's own"
    stages = frozenset(FilterStage)
    options: tuple[Option, ...] = (Option("word", "A word", ""),)
    has_text = False

    def __init__(self, name: str, judge: Judge) -> None:
        self.name = name
        self._judge = judge
        self.asked: list[FilterRequest] = []

    def check(self, terms: FilterTerms) -> None:
        if terms.options.get("word") == "bad":
            raise ValueError("the word is bad")

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        self.asked.append(request)
        said = self._judge(request, terms)
        if isinstance(said, Awaitable):
            said = await said
        return said


class Kinds(registry.Registry):
    """The built-in kinds, and those that a test adds."""

    def add(self, name: str, judge: Judge) -> Told:
        told = Told(name, judge)
        self._kinds[name] = told
        return told

    def __contains__(self, name: object) -> bool:
        return name in self._kinds or super().__contains__(name)


def passes(request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
    return FilterVerdict(FilterAction.PASS, detail="nothing to say")


async def hangs(request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
    await asyncio.Event().wait()
    raise AssertionError
