"""Patterns for addresses: user@domain, @domain, @.domain and user@.domain (Courier's badfrom).

A dot stands for all sub-domains of the domain, not for the domain itself. Patterns are in
lower case.
"""

from collections.abc import Container, Iterator

from mta.policy.facts import parents
from mta.protocol import address as addresses


def find(address: str, patterns: Container[str]) -> str:
    """The most particular pattern that fits the address; "" when none does."""
    return next((pattern for pattern in _candidates(address.lower()) if pattern in patterns), "")


def _candidates(address: str) -> Iterator[str]:
    local, domain = addresses.split(address)
    above = parents(domain)
    yield address
    yield from (f"{local}@{parent}" for parent in above)
    yield f"@{domain}"
    yield from (f"@{parent}" for parent in above)
