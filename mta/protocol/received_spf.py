"""The Received-SPF header (RFC 7208 9.1), with the words that filters made for Courier look for.

Courier writes SPF=, sender=, remoteip= and remotehost=; the RFC has other names for the same
facts. Both stand here.
"""

import re

from mta.protocol.address import AddressError, normalize_domain
from mta.protocol.printable import printable
from mta.protocol.spf import SpfResult

# Characters of one value, so that no line comes near 998 octets.
MAX_VALUE = 400
_DOT_ATOM = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z")


def received_spf(
    result: SpfResult, *, reverse_path: str, helo: str, remote_host: str, hostname: str
) -> bytes:
    """One folded header, CRLF included, in printable ASCII whatever the client said.

    `remote_host` is the verified name of the client, "" when it has none; `hostname` is ours.
    """
    values = {
        "identity": result.identity.value,
        "SPF": result.identity.name,
        "client-ip": result.client_ip,
        "envelope-from": _ace(reverse_path),
        "helo": _ace(helo),
        "receiver": hostname,
        "mechanism": result.mechanism,
        "problem": result.problem,
        "sender": _ace(result.sender),
        "remoteip": result.client_ip,
        "remotehost": remote_host,
    }
    may_be_empty = ("envelope-from", "helo")
    pairs = [
        f"{key}={_quoted(value)}" for key, value in values.items() if value or key in may_be_empty
    ]
    first = f"Received-SPF: {result.result} ({_comment(f'{hostname}: {result.text}')})"
    return ("\r\n    ".join([first, ";\r\n    ".join(pairs)]) + "\r\n").encode("ascii")


def _ace(address: str) -> str:
    """The domain in A-label form where that is possible."""
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{normalize_domain(domain)}"
    except AddressError:
        return address


def _quoted(value: str) -> str:
    text = printable(value, MAX_VALUE).replace(";", " ")
    if _DOT_ATOM.match(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _comment(text: str) -> str:
    return "".join(f"\\{char}" if char in "()\\" else char for char in printable(text, MAX_VALUE))
