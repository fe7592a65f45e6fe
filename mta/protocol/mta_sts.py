"""MTA-STS records and policies (RFC 8461), pure: text in, policy or a reason out.

Both come from strangers. A record that is not exactly one is none (3.1), a policy that is not
whole is invalid (3.2); unknown fields are for the future and skipped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_POLICY = 64 * 1024
MAX_PATTERNS = 500

# Seconds; a year is what RFC 8461 3.2 allows at most, and what a longer one is cut to.
MAX_AGE = 31_557_600

_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:(.*)\Z")
_NAME = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\Z"
)
_VERSION = "STSv1"


class Mode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class InvalidPolicy(ValueError):
    """The policy file is not one; the text says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain asks of those who send to it. `max_age` is in seconds."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int

    def allows(self, host: str) -> bool:
        """Whether a host that MX names is one of the domain's; "*." is one label (4.1)."""
        host = host.rstrip(".").lower()
        parent = host.partition(".")[2]
        return any(
            parent == pattern[2:] if pattern.startswith("*.") else host == pattern
            for pattern in self.mx
        )


def record_id(texts: Sequence[str]) -> str | None:
    """The id of the one valid TXT record of _mta-sts.DOMAIN, None where there is no such one."""
    records = [text for text in texts if re.match(rf"v={_VERSION}[ \t]*(;|\Z)", text)]
    if len(records) != 1:
        return None
    for field in records[0].split(";")[1:]:
        name, equals, value = field.strip(" \t").partition("=")
        if equals and name.strip() == "id":
            return value.strip() if _ID.match(value.strip()) else None
    return None


def parse_policy(body: bytes) -> Policy:
    """Raises InvalidPolicy."""
    if len(body) > MAX_POLICY:
        raise InvalidPolicy(f"the policy has more than {MAX_POLICY} octets")
    try:
        lines = body.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise InvalidPolicy("the policy is not UTF-8") from None
    fields, patterns = _fields(lines)
    if fields.get("version") != _VERSION:
        raise InvalidPolicy(f"the version of the policy is not {_VERSION}")
    return Policy(_mode(fields), _patterns(fields, patterns), _max_age(fields))


def _fields(lines: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Fields, of which the first counts when it is repeated, and the values of all "mx"."""
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        match = _FIELD.match(line)
        if match is None:
            raise InvalidPolicy("a line of the policy is not 'name: value'")
        if match[1] == "mx":
            patterns.append(match[2].strip(" \t").rstrip(".").lower())
        else:
            fields.setdefault(match[1], match[2].strip(" \t"))
    return fields, patterns


def _mode(fields: dict[str, str]) -> Mode:
    try:
        return Mode(fields.get("mode", ""))
    except ValueError:
        raise InvalidPolicy("the mode of the policy is not enforce, testing or none") from None


def _patterns(fields: dict[str, str], patterns: list[str]) -> tuple[str, ...]:
    if not patterns and fields["mode"] != Mode.NONE:
        raise InvalidPolicy("the policy names no mx")
    if len(patterns) > MAX_PATTERNS:
        raise InvalidPolicy(f"the policy names more than {MAX_PATTERNS} mx")
    for pattern in patterns:
        if len(pattern) > 255 or not _NAME.match(pattern):
            raise InvalidPolicy("an mx of the policy is not a host name")
    return tuple(patterns)


def _max_age(fields: dict[str, str]) -> int:
    text = fields.get("max_age", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise InvalidPolicy("the max_age of the policy is not a number of seconds")
    return min(int(text), MAX_AGE)
