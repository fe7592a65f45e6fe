"""Site filter: rules on header fields, and a few that are ready for use.

The ready ones are options; the text of the row holds the others (`mta.filters.header_rules`). The
ready ones are asked first.
"""

from mta.filters import header_rules
from mta.filters.base import Option
from mta.filters.header_faults import Limits, faults
from mta.filters.header_rules import Act, Outcome
from mta.filters.option_values import OptionValues
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
_ACTIONS = {
    Act.REFUSE: FilterAction.REFUSE,
    Act.HOLD: FilterAction.HOLD,
    Act.DISCARD: FilterAction.DISCARD,
    Act.PASS: FilterAction.PASS,
}


class Headers:
    name = "headers"
    label = "Header rules"
    stages = frozenset({FilterStage.CONTENT})
    has_text = True
    replayable = True
    options = (
        Option("date_hours", "Date at most so many hours away", 72.0, "0: any date"),
        Option("require_from", "There must be a From", True),
        Option("single_from", "From must name one author", False),
        Option("max_addressees", "Most addresses in To and Cc", 0, "0: any number"),
        Option("action", "What is done with those", REFUSE, "refuse or hold"),
        Option("reply", "Text of the refusal", "the header of the message is not acceptable"),
    )

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError."""
        values = OptionValues(self.options, terms.options)
        values.check_names()
        _limits(values)
        values.word("action", REFUSE, HOLD)
        values.text("reply")
        header_rules.parse(terms.text)

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        assert request.content is not None
        values = OptionValues(self.options, terms.options)
        found = "; ".join(faults(request.content, _limits(values), request.at))
        if found and values.word("action", REFUSE, HOLD) == HOLD:
            return FilterVerdict(FilterAction.HOLD, detail=found)
        if found:
            return _refusal(f"{values.text('reply')}: {found}", found)
        outcome = header_rules.apply(request.content, header_rules.parse(terms.text))
        return _verdict(outcome, values.text("reply"))


def _limits(values: OptionValues) -> Limits:
    return Limits(
        date_hours=values.number("date_hours"),
        require_from=values.flag("require_from"),
        single_from=values.flag("single_from"),
        max_addressees=values.integer("max_addressees"),
    )


def _verdict(outcome: Outcome, reply: str) -> FilterVerdict:
    told = [f"{rule} -> {rule.act.value} {rule.argument}" for rule in outcome.changed]
    if outcome.rule is None or outcome.act is None:
        return FilterVerdict(detail="; ".join(told), content=outcome.content)
    detail = "; ".join([*told, str(outcome.rule)])
    if outcome.act is Act.REFUSE:
        return _refusal(outcome.rule.argument or reply, detail)
    return FilterVerdict(_ACTIONS[outcome.act], detail=detail, content=outcome.content)


def _refusal(text: str, detail: str) -> FilterVerdict:
    return FilterVerdict(FilterAction.REFUSE, Reply(550, status.NOT_PERMITTED, text), detail)
