"""What can be said about a call before there is a message: addresses, folders, names, numbers.

Only strings without variables are looked at; for the others the commands look again.
"""

from collections.abc import Callable, Sequence

from mta.filters.sieve import addresses, templates
from mta.filters.sieve.dates import PARTS, ZONE
from mta.filters.sieve.edit import NAME
from mta.filters.sieve.folders import folder_problem
from mta.filters.sieve.notices import MethodError, mailto
from mta.filters.sieve.program import Call, Text
from mta.filters.sieve.syntax import Position
from mta.filters.sieve.templates import TemplateError
from mta.protocol.address import AddressError

# A reply has to be shown in one piece by those who read it.
MAX_TEXT = 32 << 10


def check_call(call: Call, positions: Sequence[Position]) -> None:
    """`positions` are those of the strings among the arguments. Raises SieveError."""
    check = _CHECKS.get(call.name)
    if check is not None:
        check(call, [*positions, call.at])
    if call.has("last") and call.name in _INDEXED and not call.has("index"):
        raise call.at.error('":last" needs ":index"')
    if call.has("index") and call.option_number("index", 0) < 1:
        raise call.at.error('":index" counts from 1')


def _constants(texts: Sequence[Text]) -> list[str]:
    return [each for each in texts if isinstance(each, str)]


def _folder(call: Call, at: Sequence[Position]) -> None:
    for name in _constants(call.texts(0)):
        if problem := folder_problem(name):
            raise at[0].error(problem)


def _address(call: Call, at: Sequence[Position]) -> None:
    _addresses(call.texts(0), at[0])


def _addresses(texts: Sequence[Text], at: Position) -> None:
    for text in _constants(texts):
        try:
            addresses.one(text)
        except AddressError as error:
            raise at.error(f"{text[:80]!r} is no address: {error}") from error


def _refusal(call: Call, at: Sequence[Position]) -> None:
    for text in _constants(call.texts(0)):
        if not text.strip():
            raise at[0].error(f'"{call.name}" needs a text')
        if len(text) > MAX_TEXT:
            raise at[0].error(f"the text is longer than {MAX_TEXT} characters")


def _vacation(call: Call, at: Sequence[Position]) -> None:
    _refusal(call, at)
    _addresses(call.option_texts("from"), call.at)
    _addresses(call.option_texts("addresses"), call.at)


def _notify(call: Call, at: Sequence[Position]) -> None:
    _addresses(call.option_texts("from"), call.at)
    for text in _constants(call.option_texts("importance")):
        if text not in ("1", "2", "3"):
            raise call.at.error('":importance" is "1", "2" or "3"')
    for text in _constants(call.texts(0)):
        try:
            mailto(text)
        except MethodError as error:
            raise at[0].error(str(error)) from error


def _variable(call: Call, at: Sequence[Position]) -> None:
    """The first argument names variables; where it may be left out, it may not be there."""
    if call.name in _MAY_NAME_VARIABLES and len(call.arguments) < 2:
        return
    for text in call.texts(0):
        if not isinstance(text, str):
            raise at[0].error("the name of a variable cannot come from a variable")
        try:
            templates.checked_name(text, has_globals=True)
        except TemplateError as error:
            raise at[0].error(str(error)) from error


def _date(call: Call, at: Sequence[Position]) -> None:
    for text in _constants(call.option_texts("zone")):
        if not ZONE.match(text):
            raise call.at.error(f'{text[:40]!r} is no time zone like "+0100"')
    index = len(call.arguments) - 2
    for text in _constants(call.texts(index)):
        if text.lower() not in PARTS:
            raise at[index].error(f"{text[:40]!r} is none of {', '.join(PARTS)}")


def _envelope(call: Call, at: Sequence[Position]) -> None:
    for text in _constants(call.texts(0)):
        if text.lower() not in ("from", "to"):
            raise at[0].error('"envelope" knows "from" and "to"')


def _size(call: Call, at: Sequence[Position]) -> None:
    if not call.has("size"):
        raise call.at.error('"size" has wrong arguments; it takes ":over" or ":under" and a number')


def _header_name(call: Call, at: Sequence[Position]) -> None:
    for text in _constants(call.texts(0)):
        if not NAME.match(text):
            raise at[0].error(f"{text[:40]!r} is no name of a header field")


def _script_name(call: Call, at: Sequence[Position]) -> None:
    for text in call.texts(0):
        # RFC 6609, section 3.2: which scripts there are must be known beforehand.
        if not isinstance(text, str) or not text or not text.isprintable() or "/" in text:
            raise at[0].error("this is no name of a script")


_INDEXED = ("header", "address", "date", "deleteheader")
_MAY_NAME_VARIABLES = ("setflag", "addflag", "removeflag", "hasflag")
_CHECKS: dict[str, Callable[[Call, Sequence[Position]], None]] = {
    "fileinto": _folder,
    "redirect": _address,
    "reject": _refusal,
    "ereject": _refusal,
    "vacation": _vacation,
    "notify": _notify,
    "set": _variable,
    "global": _variable,
    "setflag": _variable,
    "addflag": _variable,
    "removeflag": _variable,
    "hasflag": _variable,
    "date": _date,
    "currentdate": _date,
    "envelope": _envelope,
    "size": _size,
    "addheader": _header_name,
    "deleteheader": _header_name,
    "include": _script_name,
}
