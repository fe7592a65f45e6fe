"""A filter asked for a trial: about mail that has been, or that was made up, and with no effect.

Only kinds that say of themselves that judging has no effects (`replayable`) are asked.
"""

import asyncio
from dataclasses import dataclass, replace

from mta.filters.base import Kind, Trouble
from mta.protocol.site_filter import FilterRequest, FilterTerms, FilterVerdict


@dataclass(frozen=True, slots=True)
class TraceLine:
    """What one test of a text compared, or what one action asked for; `matched` is None for
    actions. `recipient` is whom the text was asked about."""

    line: int
    text: str
    matched: bool | None
    recipient: str = ""


def is_replayable(kind: Kind) -> bool:
    return bool(getattr(kind, "replayable", False))


def judge_draft(
    kind: Kind, terms: FilterTerms, request: FilterRequest
) -> tuple[FilterVerdict, tuple[TraceLine, ...]]:
    """The verdict, and how it came about where the kind can tell. Raises Trouble."""
    if not is_replayable(kind):
        raise Trouble(f"{kind.label} cannot be tried: asking has effects outside")
    verdict = asyncio.run(_judge(kind, terms, request))
    trace = getattr(kind, "trace", None)
    return verdict, trace(request, terms) if trace else ()


async def _judge(kind: Kind, terms: FilterTerms, request: FilterRequest) -> FilterVerdict:
    try:
        async with asyncio.timeout(terms.timeout):
            return await kind.judge(replace(request, rehearsal=True), terms)
    except TimeoutError as error:
        raise Trouble(f"no answer within {terms.timeout:.0f} s") from error
