"""One message as tests see it: envelope, header fields, and its text (in `body`)."""

from collections.abc import Iterable
from functools import cached_property

from mta.filters.sieve import addresses
from mta.filters.sieve.encoded_words import readable, unfolded
from mta.protocol import header_fields
from mta.protocol.header_fields import Field

# What lies behind is not seen by tests; the ingress takes no header that comes near it.
MAX_HEADER_OCTETS = 512 << 10
MAX_LINES = 10_000
# Of all fields of one name together.
MAX_ADDRESS_LIST = 64 << 10


class Message:
    """Its header is read when the first test asks for it. Raises nothing."""

    def __init__(self, content: bytes, reverse_path: str, recipient: str) -> None:
        self.content = content
        self.envelope = {"from": _clean(reverse_path), "to": _clean(recipient)}
        self._readable: dict[str, list[str]] = {}
        self._listed: dict[str, list[list[str]]] = {}

    @cached_property
    def header_size(self) -> int:
        """Where the body begins, or the empty line before it."""
        if self.content.startswith((b"\r\n", b"\n")):
            return 0
        end = self.content.find(b"\r\n\r\n")
        bare = self.content.find(b"\n\n", 0, end if end >= 0 else len(self.content))
        if bare >= 0:
            return bare + 1
        return end + 2 if end >= 0 else len(self.content)

    @property
    def has_body(self) -> bool:
        """Does an empty line end the header section?"""
        return self.header_size < len(self.content)

    def body(self, limit: int) -> bytes:
        """The octets behind the empty line, so many at most."""
        line_end = 2 if self.content.startswith(b"\r\n", self.header_size) else 1
        start = self.header_size + line_end
        return self.content[start : start + limit]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All fields in their order, as far as they are looked at."""
        header = self.content[: min(self.header_size, MAX_HEADER_OCTETS)]
        lines = header.split(b"\n", MAX_LINES)
        if len(lines) > MAX_LINES:
            header = header[: -len(lines[-1])] if lines[-1] else header
        return tuple(header_fields.split(header))

    @cached_property
    def _rest_at(self) -> int:
        """Where that begins which is not in `fields`."""
        return sum(len(each.raw) for each in self.fields)

    @cached_property
    def _by_name(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for field in self.fields:
            if field.name:
                found.setdefault(field.name, []).append(field.raw.partition(b":")[2])
        return found

    def has(self, name: str) -> bool:
        return name.lower() in self._by_name

    def header(self, name: str) -> list[str]:
        """The decoded values of all fields of that name."""
        name = name.lower()
        if name not in self._readable:
            self._readable[name] = [readable(each) for each in self._by_name.get(name, ())]
        return self._readable[name]

    def addresses(self, name: str) -> list[list[str]]:
        """The bare addresses of each field of that name.

        Read before encoded words are decoded: a name that says "<a@b>" is no address.
        """
        name = name.lower()
        if name not in self._listed:
            found, left = [], MAX_ADDRESS_LIST
            for value in map(unfolded, self._by_name.get(name, ())):
                found.append(addresses.listed(value[:left]))
                left -= min(left, len(value))
            self._listed[name] = found
        return self._listed[name]

    def edited(self, fields: Iterable[Field]) -> "Message":
        """The message with other fields in front of the same body (RFC 5293)."""
        message = Message(self.content, self.envelope["from"], self.envelope["to"])
        message.header_size, message._rest_at = self.header_size, self._rest_at
        message.fields = tuple(fields)
        return message

    def joined(self) -> bytes:
        """The octets of a message that was edited."""
        return b"".join(each.raw for each in self.fields) + self.content[self._rest_at :]


def _clean(text: str) -> str:
    """Without what cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()
