"""A small DNS server on loopback that answers from a dict.

    zone = {
        "example.org": {"MX": ["10 mx1.example.org"], "A": ["192.0.2.1"]},
        "alias.example.org": {"CNAME": ["example.org"]},
        "policy.example.org": {"TXT": txt("v=spf1 -all")},
        reverse("192.0.2.1"): {"PTR": ["example.org"]},
        "broken.example": Trouble.SERVFAIL,
        "slow.example": {"MX": Trouble.TIMEOUT},
    }
    with DnsServer(zone) as dns:
        ...ask dns.address...

A name that is not there is NXDOMAIN, a type that is not there an empty answer. Aliases are
followed within the zone. An answer that is too long for UDP is truncated; TCP gives it whole.
"""

import socketserver
import struct
import threading
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from ipaddress import ip_address
from typing import Self, TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_UDP_LIMIT = 1232
_MAX_ALIASES = 20


class Trouble(Enum):
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    TIMEOUT = "no answer"


Records: TypeAlias = "Mapping[str, Sequence[str] | Trouble] | Trouble"


def txt(*values: str) -> list[str]:
    """TXT records as a zone file has them, each cut into strings of at most 255 octets.

    A character stands for one octet, so any octet can be said.
    """
    records = []
    for value in values:
        octets = value.encode("latin-1")
        strings = [octets[at : at + 255] for at in range(0, len(octets), 255)] or [b""]
        records.append(" ".join('"' + "".join(f"\\{n:03}" for n in part) + '"' for part in strings))
    return records


def reverse(address: str) -> str:
    """The name that holds the PTR records of an address."""
    return ip_address(address).reverse_pointer


class DnsServer:
    """`queries` lists (name, type) as they came. `zone` may be changed while it runs.

    With `signed` it says that DNSSEC proves the answers, but for names in `unsigned`.
    """

    def __init__(
        self,
        zone: Mapping[str, Records],
        *,
        signed: bool = False,
        unsigned: Collection[str] = (),
    ) -> None:
        self.signed = signed
        self.unsigned = unsigned
        self.zone: dict[str, Records] = dict(zone)
        self.queries: list[tuple[str, str]] = []
        self._udp, self._tcp = _servers(self)
        self.port: int = self._udp.server_address[1]
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            for server in (self._udp, self._tcp)
        ]

    @property
    def address(self) -> str:
        """As COURIERWEB_DNS takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def answer(self, request: bytes) -> dns.message.Message | None:
        """The answer to a request in wire form, None to stay silent."""
        query = dns.message.from_wire(request)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, kind))
        response = dns.message.make_response(query, recursion_available=True)
        if self.signed and name not in self.unsigned and query.flags & dns.flags.AD:
            response.flags |= dns.flags.AD
        trouble = self._fill(response, name, kind)
        if trouble is Trouble.TIMEOUT:
            return None
        if trouble is not None:
            response.set_rcode(dns.rcode.from_text(trouble.value))
        return response

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> Trouble | None:
        for _ in range(_MAX_ALIASES):
            records = self.zone.get(name)
            if isinstance(records, Trouble):
                return records
            if records is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                return None
            found = records.get(kind, ())
            alias = records.get("CNAME", ())
            if isinstance(found, Trouble):
                return found
            if found or not alias or isinstance(alias, Trouble):
                _add(response, name, kind, found)
                return None
            _add(response, name, "CNAME", alias)
            name = alias[0].rstrip(".").lower()
        return None


def _add(response: dns.message.Message, name: str, kind: str, values: Sequence[str]) -> None:
    if values:
        texts = [
            value if value.endswith(".") or kind in ("A", "AAAA", "TXT", "TLSA") else f"{value}."
            for value in values
        ]
        rrset = dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, texts)
        if rrset not in response.answer:
            response.answer.append(rrset)


def _servers(owner: DnsServer) -> tuple[socketserver.UDPServer, socketserver.TCPServer]:
    """Both on one port; the kernel picks it for TCP, and UDP joins."""

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request, socket = self.request
            response = owner.answer(request)
            if response is not None:
                wire = response.to_wire(max_size=65535)
                if len(wire) > _UDP_LIMIT:
                    response.answer.clear()
                    response.flags |= dns.flags.TC
                    wire = response.to_wire()
                socket.sendto(wire, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!H", self.rfile.read(2))
            response = owner.answer(self.rfile.read(length))
            if response is not None:
                wire = response.to_wire()
                self.wfile.write(struct.pack("!H", len(wire)) + wire)

    while True:
        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
        tcp.daemon_threads = True
        try:
            udp = socketserver.ThreadingUDPServer(tcp.server_address, Udp)
        except OSError:
            tcp.server_close()
            continue
        udp.daemon_threads = True
        return udp, tcp
