"""Passwords as crypt(3) keeps them with SHA-256 and SHA-512: "$5$SALT$HASH", "$6$SALT$HASH".

Accounts that move here from another server have them. After Ulrich Drepper's specification; the
steps have its numbers.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

_TEXT = re.compile(r"\$([56])\$(?:rounds=(\d{1,9})\$)?([^$:\s]{0,16})\$([./0-9A-Za-z]{43,86})\Z")
_DEFAULT_ROUNDS = 5000
_FEWEST, _MOST = 1000, 999_999_999
# More would let one attempt hold a thread for seconds.
_PATIENCE = 200_000
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTHS = {"5": 43, "6": 86}


@dataclass(frozen=True, slots=True)
class _Parts:
    method: str
    rounds: int
    salt: bytes
    digest: str


def is_readable(text: str) -> bool:
    """Whether `verify` can compare a password with it."""
    return _parse(text) is not None


def verify(password: str, text: str) -> bool:
    """Whether that is the password. False for what `is_readable` does not take."""
    parts = _parse(text)
    if parts is None:
        return False
    found = _digest(parts, password.encode("utf-8", "surrogateescape"))
    return hmac.compare_digest(found, parts.digest)


def _parse(text: str) -> _Parts | None:
    match = _TEXT.match(text)
    if match is None or len(match.group(4)) != _LENGTHS[match.group(1)]:
        return None
    rounds = min(max(int(match.group(2) or _DEFAULT_ROUNDS), _FEWEST), _MOST)
    if rounds > _PATIENCE:
        return None
    return _Parts(match.group(1), rounds, match.group(3).encode(), match.group(4))


def _digest(parts: _Parts, key: bytes) -> str:
    new: Any = hashlib.sha512 if parts.method == "6" else hashlib.sha256
    size = new().digest_size
    salt = parts.salt
    b = new(key + salt + key).digest()  # 4 to 8
    a = new(key + salt + _stretched(b, len(key)))  # 1 to 3, 9, 10
    bits = len(key)
    while bits:  # 11
        a.update(b if bits & 1 else key)
        bits >>= 1
    c: bytes = a.digest()  # 12
    p = _stretched(new(key * len(key)).digest(), len(key))  # 13 to 16
    s = _stretched(new(salt * (16 + c[0])).digest(), len(salt))  # 17 to 20
    for turn in range(parts.rounds):  # 21
        mixed = p if turn & 1 else c
        if turn % 3:
            mixed += s
        if turn % 7:
            mixed += p
        c = new(mixed + (c if turn & 1 else p)).digest()
    return _text(c, size)


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _text(digest: bytes, size: int) -> str:
    """The octets in the order of step 22, six bits a character."""
    third = size // 3
    groups = []
    for at in range(third):
        first = [at, at + third, at + 2 * third]
        # SHA-512 turns the three columns to the left with each row, SHA-256 to the right.
        turn = at % 3 if size == 64 else -at % 3
        order = first[turn:] + first[:turn]
        groups.append(_characters([digest[each] for each in order], 4))
    rest = [0, digest[31], digest[30]] if size == 32 else [0, 0, digest[63]]
    groups.append(_characters(rest, 3 if size == 32 else 2))
    return "".join(groups)


def _characters(octets: list[int], count: int) -> str:
    word = int.from_bytes(bytes(octets), "big")
    return "".join(_ALPHABET[word >> 6 * at & 63] for at in range(count))
