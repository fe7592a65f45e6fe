"""Whom a message says it is from: the addresses in its From fields (RFC 5322 3.6.2)."""

from email.utils import getaddresses

from mta.protocol import header_fields


def authors(content: bytes) -> tuple[str, ...]:
    fields = header_fields.split(header_fields.cut(content)[0])
    values = [
        field.raw.partition(b":")[2].decode("utf-8", "replace")
        for field in fields
        if field.name == "from"
    ]
    return tuple(address for _, address in getaddresses(values) if address)
