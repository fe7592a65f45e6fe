"""What an alias of a whole domain stands for: one mailbox for all, or a name for each address.

Targets of "@domain" beside plain addresses (qmail's virtualdomains; Courier's `@domain: account`,
spec 3.6), for x@domain, where `home` is the domain of this host:

    account                account-x@home
    account!               accountx@home
    account-*@example.org  account-x@example.org: "*" stands for the local part
    *@example.org          x@example.org: the domain is another name of example.org

Courier writes `user@hosted.example` for what is `user-*@hosted.example` here: with a whole address
our "@domain" has always been a catch-all.
"""

from mta.protocol import address as addresses
from mta.protocol.address import AddressError

_ANY = "*"


def parse_target(text: str) -> str:
    """A target of "@domain" in normal form. Raises AddressError."""
    parsed = addresses.parse(text, need_domain=False)
    local, _ = addresses.split(parsed)
    if "@" in parsed and local.count(_ANY) > 1:
        raise AddressError("the local part can stand there only once")
    if "@" not in parsed and (_ANY in parsed or not parsed.rstrip("!")):
        raise AddressError("an account, or an address, is expected")
    return parsed


def is_pattern(target: str) -> bool:
    """Whether each address of the domain has a target of its own."""
    local, domain = addresses.split(target)
    return not domain or _ANY in local


def mapped(target: str, local: str, home: str) -> str:
    """The address that a target gives for a local part; what is no pattern stays as it is."""
    if "@" not in target:
        prefix = target[:-1] if target.endswith("!") else f"{target}-"
        return f"{prefix}{local}@{home}"
    pattern, domain = addresses.split(target)
    return f"{pattern.replace(_ANY, local)}@{domain}"


def account(target: str, home: str) -> str:
    """The account whose extension the local part becomes, "" when a pattern names none."""
    if "@" not in target:
        return "" if target.endswith("!") else f"{target}@{home}"
    pattern, domain = addresses.split(target)
    name = pattern.removesuffix(f"-{_ANY}")
    return f"{name}@{domain}" if name and name != pattern else ""
