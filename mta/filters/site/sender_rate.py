"""Site filter: so many recipients of one sender in a window of time (spec 6.2, ratefilter).

The sender is the authenticated user, else the user of this host who handed the mail in, else, if
the row says so, the domain of the reverse-path or the address of the client. What is too much waits
and is released by itself as the window has room, or is refused.
"""

from mta.filters import sender_patterns
from mta.filters.base import FilterContext, Option
from mta.filters.option_values import OptionValues
from mta.protocol import status
from mta.protocol.queue_id import decode_queue_id
from mta.protocol.reply import Reply
from mta.protocol.sending_rate import Booking, Limit, Usage
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterState,
    FilterTerms,
    FilterVerdict,
)

HOLD, DEFER, REFUSE = "hold", "defer", "refuse"
NOBODY, DOMAIN, CLIENT = "nobody", "domain", "client"


class SenderRate:
    name = "sender_rate"
    label = "Rate per sender"
    stages = frozenset({FilterStage.CONTENT})
    has_text = False
    options = (
        Option("maxrcpts", "Recipients", 100, "a sender may have so many in the window"),
        Option("interval", "Window in seconds", 60.0, "at least 60"),
        Option(
            "action",
            "What is too much",
            HOLD,
            "hold: it waits and is released by itself; defer: 450; refuse: 550",
        ),
        Option(
            "longest_hold",
            "Longest wait in hours",
            24.0,
            "what would wait longer is told to come again later",
        ),
        Option(
            "others",
            "Mail without a user",
            NOBODY,
            "counted by the sender's domain (domain) or the client's address (client), or not"
            " at all (nobody)",
        ),
        Option("minuid", "Lowest uid", 100, "mail of users below it is not counted"),
        Option(
            "exceptions",
            "Senders with a limit of their own",
            [],
            "a line each: the sender, then the number of recipients, or none for no limit;"
            " * is any text",
        ),
        Option("reply", "Text of the refusal", "too many recipients in a short time"),
    )

    def __init__(self, context: FilterContext) -> None:
        self._context = context

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError."""
        values = OptionValues(self.options, terms.options)
        values.check_names()
        values.integer("maxrcpts", 1)
        values.number("interval", 60, 86400 * 31)
        values.word("action", HOLD, DEFER, REFUSE)
        values.number("longest_hold", most=24 * 7)
        values.word("others", NOBODY, DOMAIN, CLIENT)
        values.integer("minuid")
        values.text("reply")
        sender_patterns.check("exceptions", _exceptions(values))

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        values = OptionValues(self.options, terms.options)
        sender = await self._sender(request, values)
        if not sender:
            return FilterVerdict(detail="nobody to count this mail for")
        exceptions = _exceptions(values)
        special = sender_patterns.matching(list(exceptions), sender)
        allowed = exceptions[special] if special else values.integer("maxrcpts", 1)
        if allowed is None:
            return FilterVerdict(detail=f"{sender} has no limit")
        usage = _usage(request, terms, values, sender, allowed)
        booking = await self._context.booking(usage)
        return _verdict(usage, booking, values, terms.state)

    async def _sender(self, request: FilterRequest, values: OptionValues) -> str:
        if request.auth_user:
            return request.auth_user.lower()
        if request.uid is not None:
            known = request.uid >= values.integer("minuid")
            return await self._context.user_name(request.uid) if known else ""
        others = values.word("others", NOBODY, DOMAIN, CLIENT)
        if others == DOMAIN:
            return "@" + request.reverse_path.rpartition("@")[2] if request.reverse_path else ""
        return request.client_ip if others == CLIENT else ""


def _exceptions(values: OptionValues) -> dict[str, int | None]:
    """Pattern -> recipients, None for no limit. Raises ValueError."""
    found: dict[str, int | None] = {}
    for line in values.lines("exceptions"):
        pattern, *limit = line.split()
        if len(limit) > 1 or (limit and not (limit[0].isdecimal() and int(limit[0]))):
            raise ValueError(
                f"exceptions: {line!r}: a sender and a number of recipients are expected"
            )
        found[pattern] = int(limit[0]) if limit else None
    return found


def _usage(
    request: FilterRequest, terms: FilterTerms, values: OptionValues, sender: str, allowed: int
) -> Usage:
    """What only logs keeps nobody waiting, so that it counts what goes at once."""
    holds = values.word("action", HOLD, DEFER, REFUSE) == HOLD
    waits = holds and terms.state is FilterState.ENFORCE
    longest = values.number("longest_hold") * 3600 if waits else 0.0
    return Usage(
        filter=terms.name,
        sender=sender,
        recipients=max(1, len(request.recipients)),
        limit=Limit(allowed, values.number("interval", 60), longest),
        at=request.at,
        message_id=decode_queue_id(request.queue_id) if request.queue_id else 0,
        rehearsal=request.rehearsal or not request.queue_id,
    )


def _verdict(
    usage: Usage, booking: Booking, values: OptionValues, state: FilterState
) -> FilterVerdict:
    window = values.number("interval", 60)
    detail = (
        f"{usage.sender} had {booking.used} recipients in {window:g} s and now"
        f" {usage.recipients}; {usage.limit.recipients} may be"
    )
    if booking.wait == 0:
        return FilterVerdict(detail=detail)
    if booking.wait is not None:
        detail += f"; released in {booking.wait:.0f} s"
        return FilterVerdict(FilterAction.HOLD, detail=detail, release_after=booking.wait)
    action = values.word("action", HOLD, DEFER, REFUSE)
    if action == HOLD and state is not FilterState.ENFORCE:
        return FilterVerdict(FilterAction.HOLD, detail=detail)
    # What can never fit, and what an administrator refuses for good, is not worth coming again.
    never = usage.recipients > usage.limit.recipients and not usage.limit.longest_wait
    if never or action == REFUSE:
        reply = Reply(550, status.NOT_PERMITTED, values.text("reply"))
    else:
        transient = status.with_class(status.NOT_PERMITTED, "4")
        reply = Reply(450, transient, values.text("reply"))
    return FilterVerdict(FilterAction.REFUSE, reply, detail)
