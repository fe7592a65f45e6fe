"""Addresses in headers that go out to UUCP as paths, or come from there (uucprewriteheaders). Pure.

A field that cannot be read as addresses stays as it is. Contents have CRLF line ends.
"""

from collections.abc import Callable

from mta.protocol import address as addresses
from mta.protocol import header_fields, mailbox_list
from mta.protocol.bang_path import BadPath, Neighbourhood
from mta.protocol.header_fields import Field

_ADDRESS_FIELDS = frozenset({"from", "to", "cc", "reply-to", "sender"})


def outward(content: bytes, town: Neighbourhood, system: str) -> bytes:
    """The message with the addresses as readers at `system` name them.

    What would need quotes as a path stays an address.
    """

    def path(text: str) -> str:
        try:
            found = town.header(system, addresses.parse(text, need_domain=False))
        except (addresses.AddressError, UnicodeEncodeError):
            return text
        return found if addresses.quote_local(found) == found else text

    return _mapped(content, path)


def inward(content: bytes, town: Neighbourhood) -> bytes:
    """The message with addresses in place of paths; a lone name is left alone."""

    def address(text: str) -> str:
        if "!" not in text or "@" in text:
            return text
        try:
            return addresses.wire(addresses.parse(town.inside(text)))
        except (BadPath, addresses.AddressError, UnicodeEncodeError):
            return text

    return _mapped(content, address)


def _mapped(content: bytes, change: Callable[[str], str]) -> bytes:
    header, rest = header_fields.cut(content)
    fields = [_changed(field, change) for field in header_fields.split(header)]
    return b"".join(field.raw for field in fields) + rest


def _changed(field: Field, change: Callable[[str], str]) -> Field:
    if field.name not in _ADDRESS_FIELDS:
        return field
    try:
        body = mailbox_list.mapped(field.body, change, column=len(field.name) + 1)
    except mailbox_list.MailboxListError:
        return field
    if body is None:
        return field
    return Field(field.name, field.raw[: len(field.name)] + b":" + body + b"\r\n")
