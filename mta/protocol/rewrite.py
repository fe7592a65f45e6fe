"""Step 1 on the content: the header section is completed and put in order at intake.

Renames, completions and additions follow RFC 6409 8, RFC 8601 5 and RFC 5322 3.6. What a
signature covers stays as it is, and so do the octets of every field that needs no change.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from mta.protocol import dkim_cover, header_fields, mailbox_list
from mta.protocol.dkim_cover import Cover
from mta.protocol.header_fields import Field

_ADDRESS_FIELDS = frozenset({"from", "to", "cc", "reply-to", "sender"})
_RESULT_FIELDS = frozenset({"received-spf", "authentication-results"})
_MBOX_FROM = re.compile(rb">?From ")
_COMMENT = re.compile(rb"\([^()]*\)")
_UNDISCLOSED = b"To: undisclosed-recipients: ;\r\n"


class RewriteError(ValueError):
    """The message cannot be taken as it is; the message says why, in printable ASCII."""


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """What to do with the header section of a message.

    `hostname` is ours: results of checks that claim to be ours are renamed. `default_domain`
    completes lone local parts ("": they stay). With `submission`, addresses that cannot be read
    are an error. `add_date` and `add_message_id` ("<...>") are used when the field is missing.
    """

    hostname: str
    default_domain: str = ""
    smtputf8: bool = False
    submission: bool = False
    add_date: datetime | None = None
    add_message_id: str = ""


def rewrite(content: bytes, options: RewriteOptions) -> bytes:
    """The content with its header section in order; the same object if nothing had to change.

    `content` has CRLF line ends. Lines that are no header fields end the header section here
    and now, as every reader would see them. Raises RewriteError, on submission only.
    """
    header, rest = header_fields.cut(content)
    fields = header_fields.split(header)
    cover = dkim_cover.cover(fields)
    kept, stray = _without_strays(fields, cover)
    wanted = [_rewritten(field, options, cover) for field in kept]
    wanted += _missing({field.name for field in kept}, options, cover)
    if wanted == fields:
        return content
    head = b"".join(_ended(field.raw) for field in wanted)
    return head + (b"\r\n" + stray if stray else b"") + rest


def _without_strays(fields: list[Field], cover: Cover) -> tuple[list[Field], bytes]:
    """(the fields up to the first line that is none, what has to go to the body).

    An mbox "From " line in front is dropped. A signature would break, so that a signed message
    keeps its strays; they are told by `mime_structure.examine`.
    """
    if fields and _MBOX_FROM.match(fields[0].raw) and not fields[0].name:
        fields = fields[1:]
    if cover.is_signed:
        return fields, b""
    first = next((i for i, field in enumerate(fields) if not field.name), len(fields))
    return fields[:first], b"".join(field.raw for field in fields[first:])


def _rewritten(field: Field, options: RewriteOptions, cover: Cover) -> Field:
    name, raw = field
    # Forged results are renamed though a signature may cover them: RFC 8601 5 wants it so.
    if name in _RESULT_FIELDS and _claims(field, options.hostname.lower().encode()):
        return Field(f"old-{name}", b"Old-" + raw)
    if not name or name in cover.names:
        return field
    if raw[len(name)] != 0x3A:
        field = Field(name, raw[: len(name)] + raw[raw.index(b":") :])
    if name in _ADDRESS_FIELDS:
        return _with_whole_addresses(field, options)
    return field


def _claims(field: Field, hostname: bytes) -> bool:
    """Does this result of a check pretend to come from this host?"""
    value = field.value.lower()
    if field.name == "authentication-results":
        server = _COMMENT.sub(b" ", value).partition(b";")[0].split()
        return server[:1] == [hostname]
    return (
        re.search(rb"(?:receiver=\"?|\()" + re.escape(hostname) + rb"(?![a-z0-9.-])", value)
        is not None
    )


def _with_whole_addresses(field: Field, options: RewriteOptions) -> Field:
    try:
        body = mailbox_list.completed(
            field.body,
            options.default_domain,
            ace=not options.smtputf8,
            column=len(field.name) + 1,
        )
    except mailbox_list.MailboxListError as error:
        if options.submission:
            raise RewriteError(f"header field {field.name.title()}: {error}") from error
        return field
    if body is None:
        return field
    return Field(field.name, field.raw[: len(field.name)] + b":" + body + b"\r\n")


def _missing(present: set[str], options: RewriteOptions, cover: Cover) -> Iterable[Field]:
    if options.add_date and _may_add("date", present, cover):
        yield Field("date", b"Date: " + format_datetime(options.add_date).encode() + b"\r\n")
    if options.add_message_id and _may_add("message-id", present, cover):
        yield Field("message-id", b"Message-ID: " + options.add_message_id.encode() + b"\r\n")
    if "cc" not in present and _may_add("to", present, cover):
        yield Field("to", _UNDISCLOSED)


def _may_add(name: str, present: set[str], cover: Cover) -> bool:
    return name not in present and name not in cover.names


def _ended(raw: bytes) -> bytes:
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"
