"""Site filter: do the hosts of the sender's domain take mail for the sender (spec 6.2)?

They are asked as if a report were to be delivered, since one that cannot be is what this filter
is to keep out. Null and authenticated senders are not asked about, nor addresses of ours.
"""

from mta.filters import sender_patterns
from mta.filters.base import FilterContext, Option
from mta.filters.option_values import OptionValues
from mta.protocol import status
from mta.protocol.reply import Reply
from mta.protocol.sender_check import SenderQuestion, SenderWord, Standing, cache_key
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)

BASE, FULL = "base", "full"
_SHOWN = 300


class SenderVerification:
    name = "sender_verification"
    label = "Sender verification"
    stages = frozenset({FilterStage.SENDER, FilterStage.RECIPIENT})
    has_text = False
    options = (
        Option(
            "logmode",
            "What is remembered",
            BASE,
            "base: the address without what follows its first hyphen; full: the whole address",
        ),
        Option("seconds", "Longest time for an answer", 20.0, "no answer counts as one for now"),
        Option("keep_good", "Good senders are remembered, minutes", 150.0),
        Option("keep_refused", "Refused senders are remembered, minutes", 15.0),
        Option("keep_later", "Trouble is remembered, minutes", 1.0),
        Option("spared", "Senders that are not asked about", [], "* is any text"),
    )

    def __init__(self, context: FilterContext) -> None:
        self._context = context

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError."""
        values = OptionValues(self.options, terms.options)
        values.check_names()
        values.word("logmode", BASE, FULL)
        if values.number("seconds", 1, 300) >= terms.timeout:
            raise ValueError("seconds: the time limit of the filter must be longer than this")
        for name in ("keep_good", "keep_refused", "keep_later"):
            values.number(name, most=60 * 24 * 7)
        sender_patterns.check("spared", values.lines("spared"))

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        sender = request.reverse_path
        if not sender or "@" not in sender or request.auth_user:
            return FilterVerdict(detail="nobody to ask about")
        values = OptionValues(self.options, terms.options)
        if sender_patterns.matching(values.lines("spared"), sender):
            return FilterVerdict(detail=f"{sender} is not asked about")
        question = SenderQuestion(
            sender=sender,
            key=cache_key(sender, whole=values.word("logmode", BASE, FULL) == FULL),
            seconds=values.number("seconds", 1),
            keep_good=values.number("keep_good") * 60,
            keep_refused=values.number("keep_refused") * 60,
            keep_later=values.number("keep_later") * 60,
        )
        return _verdict(sender, await self._context.ask_about(question))


def _verdict(sender: str, word: SenderWord) -> FilterVerdict:
    if word.standing is Standing.OURS:
        return FilterVerdict(detail=f"mail for {sender} does not leave by ESMTP")
    by = f"{word.host} says" if word.host else "not verified"
    again = " (remembered)" if word.remembered else ""
    detail = f"{sender}: {by}: {word.reply}{again}"
    if word.standing is Standing.GOOD:
        return FilterVerdict(detail=detail)
    said = f"{by}: {word.reply}"[:_SHOWN]
    if word.standing is Standing.REFUSED:
        reply = Reply(550, status.BAD_SENDER_SYNTAX, f"the sender takes no mail: {said}")
    else:
        later = status.with_class(status.BAD_SENDER_SYNTAX, "4")
        reply = Reply(450, later, f"the sender cannot be verified now: {said}")
    return FilterVerdict(FilterAction.REFUSE, reply, detail)
