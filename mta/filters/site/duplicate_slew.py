"""Site filter: a slew of duplicates is stopped, the copies that are queued already included.

The copy with the number `duplevel` is refused, the earlier ones that wait for `submitdelay` are
cancelled and reported to their senders, and whatever comes after is refused, too (spec 6.2,
dupfilter; 6.6).
"""

import asyncio

from mta.filters import sender_patterns
from mta.filters.base import FilterContext, Option
from mta.filters.digests import Digests, digests
from mta.filters.option_values import OptionValues
from mta.protocol import status
from mta.protocol.header_fields import cut, split
from mta.protocol.queue_id import decode_queue_id
from mta.protocol.reply import Reply
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterState,
    FilterTerms,
    FilterVerdict,
)
from mta.protocol.slew import Sighting

_HOUR = 3600.0
_SMALL = 64 * 1024


class DuplicateSlew:
    name = "duplicate_slew"
    label = "Slew of duplicates"
    stages = frozenset({FilterStage.CONTENT})
    has_text = False
    options = (
        Option("duplevel", "Copies that make a slew", 4, "the copy with this number is refused"),
        Option("hashsize", "Messages remembered", 500, "copies are looked for among so many"),
        Option("hours", "Hours remembered", 24.0, "older copies do not count; 0: any age"),
        Option(
            "spared",
            "Who may send alike",
            [],
            "addresses, @domains or the List-Id of a mailing list; * is any text",
        ),
        Option("reply", "Text of the refusal", "too many copies of this message were sent"),
    )

    def __init__(self, context: FilterContext) -> None:
        self._context = context

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError."""
        values = OptionValues(self.options, terms.options)
        values.check_names()
        values.integer("hashsize", values.integer("duplevel", 2), 100_000)
        values.number("hours", most=24 * 365)
        values.text("reply")
        sender_patterns.check("spared", values.lines("spared"))

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        assert request.content is not None
        values = OptionValues(self.options, terms.options)
        senders = (request.reverse_path, request.auth_user, *_list_ids(request.content))
        if spared := sender_patterns.matching(values.lines("spared"), *senders):
            return FilterVerdict(detail=f"{spared} may send alike")
        found = await _digests(request.content)
        if found is None:
            return FilterVerdict(detail="there is no text to compare")
        sighting = Sighting(
            filter=terms.name,
            message_id=decode_queue_id(request.queue_id) if request.queue_id else 0,
            top=found.top,
            bottom=found.bottom,
            level=values.integer("duplevel", 2),
            remembered=values.integer("hashsize", 2),
            seconds=values.number("hours") * _HOUR,
            enforced=terms.state is FilterState.ENFORCE,
            rehearsal=request.rehearsal or not request.queue_id,
        )
        word = await self._context.sighting(sighting)
        detail = f"copy {word.copies} of this message; {sighting.level} are a slew"
        if not word.slew:
            return FilterVerdict(detail=detail)
        if word.stop and sighting.enforced:
            detail += f"; what is queued of the {len(word.stop)} before it is cancelled"
        reply = Reply(550, status.NOT_PERMITTED, values.text("reply"))
        return FilterVerdict(FilterAction.REFUSE, reply, detail)


async def _digests(content: bytes) -> Digests | None:
    """What takes its time is done in a thread."""
    if len(content) > _SMALL:
        return await asyncio.to_thread(digests, content)
    return digests(content)


def _list_ids(content: bytes) -> list[str]:
    """The List-Id of a mailing list, without the words before it (RFC 2919)."""
    values = [field.value for field in split(cut(content)[0]) if field.name == "list-id"]
    texts = [value.decode("utf-8", "replace") for value in values]
    return [text.rpartition("<")[2].rstrip("> \t") for text in texts]
