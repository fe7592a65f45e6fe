"""Site filter: attachments that are not wanted, by name, type, what they are, size and number.

A row has one action for all that it looks for; who wants one thing refused and another held makes
two rows.
"""

import asyncio

from mta.filters.attachment_rules import DANGEROUS, Rules, examine, may_be_archive
from mta.filters.base import Option
from mta.filters.option_values import OptionValues
from mta.filters.parts import TooComplex, parts_of
from mta.protocol import status
from mta.protocol.reply import Reply
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)

REFUSE, HOLD = "refuse", "hold"
# Below this, looking is faster than a thread.
_SMALL = 64 * 1024
_MOST_TOLD = 3


class Attachments:
    name = "attachments"
    label = "Attachment rules"
    stages = frozenset({FilterStage.CONTENT})
    has_text = False
    replayable = True
    options = (
        Option("names", "File names", [], "one a line; * is any text, ? any letter"),
        Option("extensions", "Extensions", list(DANGEROUS), "one a line"),
        Option("types", "MIME types", [], "one a line, such as video/*"),
        Option("executables", "Programs, by their content", True, "whatever they are called"),
        Option("double_extensions", "Programs named as documents", True, "letter.pdf.exe"),
        Option("archives", "Look into ZIP archives", True, "and into those within, once"),
        Option("encrypted_archives", "Archives with encrypted files", False),
        Option("unreadable_archives", "Archives that cannot be read", False, "or not in bounds"),
        Option("max_size", "Largest attachment, octets", 0, "decoded; 0: any"),
        Option("max_count", "Most attachments", 0, "0: any number"),
        Option("action", "What is done", REFUSE, "refuse or hold"),
        Option("reply", "Text of the refusal", "attachments of this kind are not accepted here"),
    )

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError."""
        values = OptionValues(self.options, terms.options)
        values.check_names()
        values.word("action", REFUSE, HOLD)
        values.text("reply")
        rules = _rules(values)
        long = [glob for glob in (*rules.names, *rules.types) if len(glob) > 200]
        if long:
            raise ValueError(f"names: {long[0][:40]!r}... is too long")

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        assert request.content is not None
        values = OptionValues(self.options, terms.options)
        rules = _rules(values)
        found = await _found(request.content, rules)
        if not found:
            return FilterVerdict()
        told = "; ".join(found[:_MOST_TOLD])
        if values.word("action", REFUSE, HOLD) == HOLD:
            return FilterVerdict(FilterAction.HOLD, detail=told)
        text = f"{values.text('reply')}: {told}"
        return FilterVerdict(FilterAction.REFUSE, Reply(550, status.NOT_PERMITTED, text), told)


def _rules(values: OptionValues) -> Rules:
    extensions = (line.lstrip("*").lstrip(".").casefold() for line in values.lines("extensions"))
    return Rules(
        names=tuple(values.lines("names")),
        extensions=frozenset(extensions),
        types=tuple(values.lines("types")),
        executables=values.flag("executables"),
        double_extensions=values.flag("double_extensions"),
        archives=values.flag("archives"),
        encrypted_archives=values.flag("encrypted_archives"),
        unreadable_archives=values.flag("unreadable_archives"),
        max_size=values.integer("max_size"),
        max_count=values.integer("max_count"),
    )


async def _found(content: bytes, rules: Rules) -> list[str]:
    """What takes its time is done in a thread."""
    try:
        if len(content) > _SMALL:
            return await asyncio.to_thread(_examine, content, rules)
        parts = parts_of(content)
        if rules.archives and any(may_be_archive(part) for part in parts):
            return await asyncio.to_thread(examine, parts, rules)
        return examine(parts, rules)
    except TooComplex as error:
        return [f"its parts cannot be looked at: {error}"]


def _examine(content: bytes, rules: Rules) -> list[str]:
    return examine(parts_of(content), rules)
