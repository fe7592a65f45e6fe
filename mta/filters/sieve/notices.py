"""Notices by mail: notify and its tests (RFC 5435), with mailto URIs (RFC 5436, RFC 6068)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from mta.filters.sieve import actions, addresses
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Do, Over, Run, Test, shown
from mta.protocol.address import AddressError

_MAX_URI = 2_000
_HEADER = re.compile(r"[!-9;-~]+\Z")
_MAX_TARGETS = 4


class MethodError(ValueError):
    """The method cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Mailto:
    """Where a notice goes to, and what the URI says about its headers."""

    addresses: tuple[str, ...]
    subject: str = ""
    body: str = ""


def mailto(uri: str) -> Mailto:
    """Raises MethodError."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "mailto":
        raise MethodError(f"{uri[:40]!r} is no mailto URI, the only method known here")
    if len(uri) > _MAX_URI:
        raise MethodError(f"the URI is longer than {_MAX_URI} characters")
    path, _, query = rest.partition("?")
    fields: dict[str, str] = {}
    # A plus sign is itself in a mailto URI (RFC 6068, section 2).
    for each in query.split("&") if query else ():
        name, _, value = each.partition("=")
        if not _HEADER.match(unquote(name)):
            raise MethodError(f"{name[:40]!r} in the URI is no name of a header field")
        fields.setdefault(unquote(name).lower(), unquote(value))
    targets = f"{unquote(path)},{fields.get('to', '')}".split(",")
    return Mailto(
        _targets([each for each in targets if each]),
        _line(fields.get("subject", "")),
        fields.get("body", ""),
    )


def _targets(written: list[str]) -> tuple[str, ...]:
    if not 0 < len(written) <= _MAX_TARGETS:
        raise MethodError(f"a notice goes to 1 to {_MAX_TARGETS} addresses")
    try:
        return tuple(dict.fromkeys(addresses.one(each) for each in written))
    except AddressError as error:
        raise MethodError(f"a mailto URI with a wrong address: {error}") from error


def _line(text: str) -> str:
    return " ".join(text.split())


def notify(run: Run, call: Call) -> None:
    uri = run.argument(call, 0)
    run.note(call, f"notify {uri}")
    try:
        method = mailto(uri)
    except MethodError as error:
        raise Over(f"line {call.at.line}: {error}") from error
    message = run.option(call, "message")
    for address in method.addresses:
        notice = actions.Notify(
            address,
            text=method.body or message,
            subject=method.subject or _line(message),
            sender=_sender(run, call),
            importance=run.option(call, "importance") or "2",
            line=call.at.line,
        )
        # A notice does not cancel the implicit keep (RFC 5435, section 3).
        run.act(notice, copy=True)


def _sender(run: Run, call: Call) -> str:
    try:
        text = run.option(call, "from")
        return addresses.one(text) if text else ""
    except AddressError:
        return ""


def valid_notify_method(run: Run, call: Call) -> bool:
    wrong = [each for each in run.texts(call.texts(0)) if not _is_valid(each)]
    if wrong:
        return run.note(call, f"no notice can be sent to {shown(wrong)}", False)
    return run.note(call, "notices can be sent to all of them", True)


def _is_valid(uri: str) -> bool:
    try:
        mailto(uri)
    except MethodError:
        return False
    return True


def notify_method_capability(run: Run, call: Call) -> bool:
    """Section 5: whether somebody is there to read mail is not known: "maybe"."""
    uri, name = run.argument(call, 0), run.argument(call, 1).lower()
    if name != "online" or not _is_valid(uri):
        return run.note(call, f"nothing is known about {name} of {shown([uri])}", False)
    return run.compare(call, ["maybe"], f"online of {uri[:80]}")


COMMANDS: dict[str, Do] = {"notify": notify}
TESTS: dict[str, Test] = {
    "valid_notify_method": valid_notify_method,
    "notify_method_capability": notify_method_capability,
}
