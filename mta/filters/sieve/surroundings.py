"""What a script may know beside the message, and what it may use up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mta.filters.sieve.program import Program


def _nothing_seen(key: str) -> bool:
    return False


def _every_mailbox(name: str) -> bool:
    return True


def _no_script(where: str, name: str) -> Program | None:
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a script may know beside the message.

    `at` is in seconds since the epoch, `zone` an offset in minutes. `items` are those of RFC 5183
    ("phase", "name", "location", "remote-ip", ...). `has_seen` answers for a key of RFC 7352,
    `has_mailbox` for a folder (RFC 5490), `script` for `include` ("personal" or "global", name;
    RFC 6609), which may raise SieveError. `separators` divide a local part from its detail
    (RFC 5233).
    """

    at: float = 0.0
    zone: int = 0
    items: Mapping[str, str] = field(default_factory=dict)
    has_seen: Callable[[str], bool] = _nothing_seen
    has_mailbox: Callable[[str], bool] = _every_mailbox
    script: Callable[[str, str], Program | None] = _no_script
    separators: str = "+"


@dataclass(frozen=True, slots=True)
class Budget:
    """`seconds` are looked at between comparisons; each of these is bounded by itself.

    `includes` counts every script that is included, `depth` how deep they are.
    """

    steps: int = 20_000
    actions: int = 32
    redirects: int = 4
    seconds: float = 1.0
    variables: int = 256
    variable_size: int = 8 << 10
    includes: int = 50
    depth: int = 8
    edits: int = 100
