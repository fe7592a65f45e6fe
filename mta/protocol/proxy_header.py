"""The PROXY protocol, versions 1 and 2: what a balancer says of the client before it speaks.

A header is read by `missing` and then understood by `parse`; so neither needs to know where the
octets come from, and not one octet behind the header is read.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED = 16
# A version 1 line has at most 107 octets, its CRLF included; "PROXY UNKNOWN" is the shortest.
_V1_LONGEST = 107
_V1_SHORTEST = len(b"PROXY UNKNOWN\r\n")
# Addresses take 36 octets, of Unix sockets 216; the rest is for options (TLVs) nobody reads here.
_V2_LONGEST = 4096

_V2_COMMANDS = {0x20: "LOCAL", 0x21: "PROXY"}
# Family and protocol -> octets of one address. Mail comes over TCP only.
_V2_FAMILIES = {0x11: 4, 0x21: 16}


class BadHeader(ValueError):
    """What came is no PROXY header."""


@dataclass(frozen=True, slots=True)
class Announced:
    """The client's end of the connection, as the balancer sees it. IPv4-mapped is kept as is."""

    address: str
    port: int


def missing(octets: bytes) -> int:
    """How many more octets are part of the header at least; 0 when it is complete.

    Raises BadHeader as soon as it cannot become one any more.
    """
    begin = octets[: len(_SIGNATURE)]
    if _SIGNATURE.startswith(begin):
        return _missing_v2(octets)
    if not begin.startswith(b"PROXY "[: len(begin)]):
        raise BadHeader("it does not begin like a PROXY header")
    if octets.endswith(b"\n"):
        return 0
    if len(octets) >= _V1_LONGEST or b"\n" in octets:
        raise BadHeader("a version 1 header without end")
    return max(1, _V1_SHORTEST - len(octets))


def parse(octets: bytes) -> Announced | None:
    """Who the client is; None when the balancer speaks for itself (LOCAL) or does not know
    (UNKNOWN). `octets` are a complete header. Raises BadHeader."""
    return _parse_v2(octets) if octets.startswith(_SIGNATURE) else _parse_v1(octets)


def _missing_v2(octets: bytes) -> int:
    if len(octets) < _V2_FIXED:
        # The shortest header of either version; version 2 then says how long it is.
        wanted = _V2_FIXED if len(octets) >= len(_SIGNATURE) else len(_SIGNATURE)
        return wanted - len(octets)
    length = int.from_bytes(octets[14:16], "big")
    if length > _V2_LONGEST:
        raise BadHeader(f"a version 2 header of {length} octets")
    return _V2_FIXED + length - len(octets)


def _parse_v1(octets: bytes) -> Announced | None:
    """PROXY TCP4 <source> <destination> <source port> <destination port> CRLF"""
    try:
        line = octets.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadHeader("a version 1 header is ASCII") from error
    if not line.endswith("\r\n"):
        raise BadHeader("a version 1 header ends in CRLF")
    words = line[:-2].split(" ")
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return None
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise BadHeader("a version 1 header is PROXY TCP4 or TCP6, two addresses, two ports")
    kind = IPv4Address if words[1] == "TCP4" else IPv6Address
    try:
        source, _ = kind(words[2]), kind(words[3])
    except ValueError as error:
        raise BadHeader(f"no {words[1]} address: {error}") from error
    port, _ = _port(words[4]), _port(words[5])
    return Announced(str(source), port)


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 5 or int(word) > 65535:
        raise BadHeader(f"{word!r} is no port")
    return int(word)


def _parse_v2(octets: bytes) -> Announced | None:
    """Signature, version and command, family and protocol, length, addresses, ports, options."""
    command = _V2_COMMANDS.get(octets[12])
    if command is None:
        raise BadHeader(f"version and command {octets[12]:#04x} are unknown")
    if command == "LOCAL":
        return None
    size = _V2_FAMILIES.get(octets[13])
    if size is None:
        # UNSPEC, a Unix socket, a datagram: nothing to know the client by.
        return None
    addresses = octets[_V2_FIXED:]
    if len(addresses) < 2 * size + 4:
        raise BadHeader("a version 2 header is too short for its addresses")
    source = addresses[:size]
    address = IPv4Address(source) if size == 4 else IPv6Address(source)
    return Announced(str(address), int.from_bytes(addresses[2 * size : 2 * size + 2], "big"))
