"""Mail addresses as they stand in MAIL and RCPT (RFC 5321 4.1.2, 4.1.3; RFC 6531).

In memory an address is a `str` "local@domain": the domain in lower case and in its ASCII
(A-label) form, the local part as it was given, without needless quotes. The null reverse-path
is "".
"""

import ipaddress
import re

import idna

MAX_LOCAL_PART = 64
MAX_ADDRESS = 254
MAX_DOMAIN = 255

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*)"\Z')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_PATH = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>(?:[ \t]+(.*))?\Z', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class AddressError(ValueError):
    """The text is not an address; the message says why, for the reply."""


def split(address: str) -> tuple[str, str]:
    """("local", "domain"), cut at the last "@"; the domain is "" when there is none."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, "")


def normalize_domain(text: str) -> str:
    """A domain in lower-case A-label form, or an address literal "[...]" as given.

    Raises AddressError.
    """
    if text.startswith("[") and text.endswith("]"):
        return _literal(text)
    name = text.removesuffix(".")
    if not name:
        raise AddressError("the domain is empty")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise AddressError(f"the domain is not a valid international name: {error}") from error
    name = name.lower()
    if len(name) > MAX_DOMAIN:
        raise AddressError("the domain is too long")
    labels = name.split(".")
    if not all(_LABEL.match(label) for label in labels):
        raise AddressError("the domain is not a valid name")
    if labels[-1].isdigit():
        raise AddressError("an address literal needs brackets")
    return name


def parse(text: str, *, need_domain: bool = True) -> str:
    """A bare address in normal form. Raises AddressError.

    With `need_domain` off, a lone local part (postmaster) is returned as it is.
    """
    if _CONTROL.search(text):
        raise AddressError("control characters are not allowed in an address")
    local, at, domain = text.rpartition("@")
    if not at:
        local = text
    if not local:
        raise AddressError("the local part is empty")
    local = _local_part(local)
    if not at:
        if need_domain:
            raise AddressError("the address has no domain")
        return local
    address = f"{local}@{normalize_domain(domain)}"
    if len(address.encode()) > MAX_ADDRESS:
        raise AddressError("the address is too long")
    return address


def parse_path(argument: str) -> tuple[str, str]:
    """Cut "<path> PARAMETERS" into (the text between the brackets, the parameters).

    A source route is dropped from the path (RFC 5321 4.1.1.3 and appendix C).
    """
    match = _PATH.match(argument)
    if match is None:
        raise AddressError("an address in angle brackets is expected")
    path, parameters = match.group(1), match.group(2) or ""
    if path.startswith("@"):
        route, colon, rest = path.partition(":")
        if not colon or not rest:
            raise AddressError("the source route names no mailbox")
        path = rest
    return path, parameters


def quote_local(local: str) -> str:
    """The local part as it must stand on the wire: quoted where it is not a dot-string."""
    if _DOT_STRING.match(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def wire(address: str) -> str:
    """The address as it stands between angle brackets on the wire ("" stays "")."""
    local, at, domain = address.rpartition("@")
    return f"{quote_local(local)}@{domain}" if at else address


def _local_part(text: str) -> str:
    if text.startswith('"'):
        match = _QUOTED.match(text)
        if match is None:
            raise AddressError("the quoted local part is malformed")
        local = re.sub(r"\\(.)", r"\1", match.group(1))
        if not local:
            raise AddressError("the local part is empty")
    elif _DOT_STRING.match(text):
        local = text
    else:
        raise AddressError("the local part is malformed")
    if len(local.encode("utf-8", "surrogateescape")) > MAX_LOCAL_PART:
        raise AddressError("the local part is too long")
    return local


def _literal(text: str) -> str:
    inner = text[1:-1]
    try:
        if inner.lower().startswith("ipv6:"):
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError as error:
        raise AddressError("the address literal is not an IP address") from error
