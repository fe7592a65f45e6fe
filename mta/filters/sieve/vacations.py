"""vacation (RFC 5230) and its `:seconds` (RFC 6131)."""

from mta.filters.sieve import actions, addresses
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Do, Run
from mta.protocol.address import AddressError

_DAY = 24 * 60 * 60
_DEFAULT = 7 * _DAY
# RFC 5230, section 4.1 lets us set bounds; 0 means "each time" with :seconds only (RFC 6131, 2).
_MAX = 366 * _DAY


def vacation(run: Run, call: Call) -> None:
    run.note(call, "vacation")
    run.act(
        actions.Vacation(
            text=run.argument(call, 0),
            seconds=_seconds(call),
            subject=" ".join(run.option(call, "subject").split()),
            sender=_address(run.option(call, "from")),
            addresses=_own(run, call),
            handle=run.option(call, "handle"),
            mime=call.has("mime"),
            line=call.at.line,
        ),
        # The message is kept as if there were no vacation (RFC 5230, section 4).
        copy=True,
    )


def _seconds(call: Call) -> int:
    number = call.option_number("period", 0)
    if not call.has("period"):
        return _DEFAULT
    if call.option("period") == "days":
        return min(max(number, 1) * _DAY, _MAX)
    return min(number, _MAX)


def _own(run: Run, call: Call) -> tuple[str, ...]:
    found = (_address(each) for each in run.texts(call.option_texts("addresses")))
    return tuple(each for each in found if each)


def _address(text: str) -> str:
    """ "" for what is none: constant ones were checked, and a reply is not worth an error."""
    try:
        return addresses.one(text) if text else ""
    except AddressError:
        return ""


COMMANDS: dict[str, Do] = {"vacation": vacation}
