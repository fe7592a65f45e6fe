"""PROXY protocol headers, read octet by octet and understood."""

from ipaddress import ip_address

import pytest

from mta.protocol.proxy_header import Announced, BadHeader, missing, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command: int, family: int, addresses: bytes, options: bytes = b"") -> bytes:
    body = addresses + options
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def ends(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    ports = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    return ip_address(source).packed + ip_address(destination).packed + ports


def read(stream: bytes) -> tuple[bytes, bytes]:
    """(header, what is behind it), taking only what `missing` asks for."""
    head = b""
    while wanted := missing(head):
        assert len(head) + wanted <= len(stream), "more was asked for than there is"
        head += stream[len(head) : len(head) + wanted]
    return head, stream[len(head) :]


V4 = ends("192.0.2.1", "198.51.100.9", 40000, 25)
V6 = ends("2001:db8::1", "2001:db8::25", 40000, 465)


@pytest.mark.parametrize(
    ("header", "announced"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.9 40000 25\r\n", Announced("192.0.2.1", 40000)),
        (b"PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", Announced("2001:db8::1", 1)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        (v2(0x21, 0x11, V4), Announced("192.0.2.1", 40000)),
        (v2(0x21, 0x11, V4, b"\x03\x00\x04abcd"), Announced("192.0.2.1", 40000)),
        (v2(0x21, 0x21, V6), Announced("2001:db8::1", 40000)),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, V4), None),
        (v2(0x21, 0x00, b""), None),
        (v2(0x21, 0x31, b"/" * 216), None),
    ],
)
def test_a_header_is_read_to_its_end_and_no_further(header, announced):
    for behind in (b"", b"EHLO x\r\n", b"\x16\x03\x01"):
        head, rest = read(header + behind)
        assert (head, rest) == (header, behind)
        assert parse(head) == announced


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client.example.org\r\n",
        b"proxy TCP4 192.0.2.1 198.51.100.9 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 1 2\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.1  198.51.100.9 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 198.51.100.9 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.9 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 65536 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 -1 2\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.9 1 2\r\n",
        b"PROXY \xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n",
        b"PROXY " + b"x" * 200,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        b"\0" * 20,
        SIGNATURE + b"\x11\x11\x00\x0c" + V4,
        SIGNATURE + b"\x22\x11\x00\x0c" + V4,
        SIGNATURE + b"\x21\x11\x00\x04abcd",
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_no_header_is_told_so(header):
    with pytest.raises(BadHeader):
        parse(read(header)[0])
