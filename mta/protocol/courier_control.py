"""The control file of a message as Courier writes it, for programs that were made to read it.

One record a line, its first letter is the kind. Only what such programs ask for is written: sender,
recipients, who signed in, how and from where the message came, its id.
"""

from collections.abc import Iterator

from mta.protocol.envelope import Source
from mta.protocol.site_filter import FilterRequest

# Courier's names of where mail comes from.
_SOURCES = {
    Source.ESMTP: "smtp",
    Source.SUBMISSION: "authsmtp",
    Source.LOCAL: "local",
    Source.UUCP: "uucp",
}


def control_file(request: FilterRequest) -> bytes:
    """The octets of the file, LF at the end of each line."""
    lines = [kind + _one_line(value) for kind, value in _records(request)]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _records(request: FilterRequest) -> Iterator[tuple[str, str]]:
    yield "s", request.reverse_path or ""
    yield "f", _from_mta(request)
    yield "u", _SOURCES.get(request.source, request.source.value)
    if request.auth_user:
        yield "i", request.auth_user
    if request.client_ip:
        yield "O", f"TCPREMOTEIP={request.client_ip}"
    for address in request.recipients:
        yield "r", address
        # Readers take the three lines of a recipient together.
        yield "R", ""
        yield "N", ""
    yield "M", request.queue_id


def _from_mta(request: FilterRequest) -> str:
    """As a report would name where the message came from (RFC 3464 2.2.4)."""
    if request.client_ip:
        return f"dns; {request.helo} ([{request.client_ip}])"
    return f"unknown; {request.helo or 'localhost'}"


def _one_line(value: str) -> str:
    """A value with a line end in it would be a record of its own."""
    return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)
