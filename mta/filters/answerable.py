"""Whether a machine may answer to a message at all (RFC 3834 2, RFC 5230 4.5 and 4.6).

Who answers to lists, to other machines or to nobody makes noise at best and a loop at worst.
"""

import re

from mta.protocol import header_fields

_ROLES = re.compile(
    r"(?:mailer-daemon|listserv|majordomo|owner-.*|.*-(?:request|owner|bounces?))\Z"
)
_NO_REPLY = re.compile(r"(?:no|do-?not)-?_?reply\b")
_BULK = frozenset({"bulk", "list", "junk"})
_LIST_FIELDS = frozenset(
    {
        "list-id",
        "list-help",
        "list-subscribe",
        "list-unsubscribe",
        "list-post",
        "list-owner",
        "list-archive",
        "mailing-list",
        "x-auto-response-suppress",
        "feedback-id",
    }
)
_ADDRESSED_BY = frozenset({"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"})
_MAX_ADDRESSED = 256 * 1024


class Heading:
    """The header of a message, as one asks who wants to answer; the first of a name counts."""

    def __init__(self, content: bytes) -> None:
        header, _ = header_fields.cut(content)
        self._fields = header_fields.split(header)

    def first(self, name: str) -> str:
        """The value of the first field of that name, "" for none."""
        for field in self._fields:
            if field.name == name:
                return field.value.decode("utf-8", "replace")
        return ""

    def names(self) -> set[str]:
        return {field.name for field in self._fields}

    def is_addressed_to(self, mine: set[str]) -> bool:
        """Whether one of these addresses (lower case) stands in To, Cc and the like."""
        values = [field.value for field in self._fields if field.name in _ADDRESSED_BY]
        text = b",".join(values)[:_MAX_ADDRESSED].decode("utf-8", "replace").lower()
        return any(_stands_in(each, text) for each in mine)


def _stands_in(address: str, text: str) -> bool:
    """As an address of its own, not as a part of another one."""
    before, after = r"(?<![A-Za-z0-9!#$%&'*+/=?^_`{|}~.-])", r"(?![A-Za-z0-9-]|\.[A-Za-z0-9])"
    return bool(re.search(f"{before}{re.escape(address)}{after}", text))


def is_of_a_machine(reverse_path: str, heading: Heading) -> bool:
    """Whether the message is a report, from a list, from a machine, or from who wants no answer."""
    local = reverse_path.rpartition("@")[0].lower()
    if not local or _ROLES.match(local) or _NO_REPLY.match(local):
        return True
    if heading.first("auto-submitted").partition(";")[0].strip().lower() not in ("", "no"):
        return True
    if heading.first("precedence").strip().lower() in _BULK:
        return True
    return not _LIST_FIELDS.isdisjoint(heading.names())
